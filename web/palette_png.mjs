/*
 * A picture as a PNG of at most 256 colours, about a third of the size of Chromium's own. The colours of the page's
 * surfaces and letters, which are the most frequent, are kept exactly; those of the photos are found by median cut
 * (Heckbert 1982) over a histogram of 5 bits a channel. No dithering: it costs more bytes than it hides.
 */
import { deflateSync } from "node:zlib";

const N_EXACT = 112;
const N_COLOURS = 256;

/* The CRC of PNG, bit by bit: Node.js 18 has none to offer, and the picture is small. */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/* The channel in which a box is longest, and how much splitting it is worth: its pixels times that length squared. */
function measure(bins) {
  const lengths = [0, 1, 2].map((c) => Math.max(...bins.map((bin) => bin.mean[c])) - Math.min(...bins.map((bin) => bin.mean[c])));
  const length = Math.max(...lengths);
  const pixels = bins.reduce((sum, bin) => sum + bin.count, 0);
  return { bins, pixels, channel: lengths.indexOf(length), worth: bins.length > 1 ? pixels * length * length : 0 };
}

/* Splits the box that is worth it most at the median of its longest channel, until there are n or nothing is left to split. */
function medianCut(bins, n) {
  const boxes = bins.length === 0 ? [] : [measure(bins)];
  while (boxes.length < n) {
    const worst = boxes.reduce((best, box, i) => (box.worth > (boxes[best]?.worth ?? 0) ? i : best), -1);
    if (worst < 0) break;
    const { bins: box, pixels, channel } = boxes[worst];
    box.sort((a, b) => a.mean[channel] - b.mean[channel]);
    let cut = 0;
    for (let sum = 0; cut < box.length - 1 && sum < pixels / 2; cut++) sum += box[cut].count;
    cut = Math.max(1, cut);
    boxes.splice(worst, 1, measure(box.slice(0, cut)), measure(box.slice(cut)));
  }
  return boxes.map((box) => box.bins);
}

/* rgba: width * height * 4 bytes, opaque. keep: colours such as 0x1f6b4a that stay exact although they are rare. */
export function palettePng(rgba, width, height, keep = []) {
  const counts = new Map();
  for (let i = 0; i < rgba.length; i += 4) {
    const colour = (rgba[i] << 16) | (rgba[i + 1] << 8) | rgba[i + 2];
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const kept = new Set(keep);
  const rank = ([colour, n]) => (kept.has(colour) ? Infinity : n);
  const frequent = [...counts].sort((a, b) => (rank(a) === rank(b) ? a[0] - b[0] : rank(b) - rank(a)));
  const index = new Map();
  const palette = [];
  for (const [colour] of frequent.slice(0, N_EXACT)) {
    index.set(colour, palette.length / 3);
    palette.push(colour >> 16, (colour >> 8) & 255, colour & 255);
  }

  const bins = new Map();
  for (const [colour, n] of frequent.slice(N_EXACT)) {
    const rgb = [colour >> 16, (colour >> 8) & 255, colour & 255];
    const key = ((rgb[0] >> 3) << 10) | ((rgb[1] >> 3) << 5) | (rgb[2] >> 3);
    let bin = bins.get(key);
    if (bin === undefined) bins.set(key, (bin = { count: 0, mean: [0, 0, 0], colours: [] }));
    bin.count += n;
    for (let c = 0; c < 3; c++) bin.mean[c] += (n * (rgb[c] - bin.mean[c])) / bin.count;
    bin.colours.push(colour);
  }
  for (const box of medianCut([...bins.values()], N_COLOURS - N_EXACT)) {
    const total = box.reduce((sum, bin) => sum + bin.count, 0);
    for (const bin of box) for (const colour of bin.colours) index.set(colour, palette.length / 3);
    for (let c = 0; c < 3; c++) palette.push(Math.round(box.reduce((sum, bin) => sum + bin.mean[c] * bin.count, 0) / total));
  }

  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 4) {
      rows[y * (width + 1) + 1 + x] = index.get((rgba[i] << 16) | (rgba[i + 1] << 8) | rgba[i + 2]);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    chunk("PLTE", Buffer.from(palette)),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}
