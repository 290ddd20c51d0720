/* The dashboard's pure functions: words for numbers, the bars' shares, and what is picked and undone while labelling. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { inflateSync } from "node:zlib";
import { requirePackage } from "../../web/browser.mjs";
import { palettePng } from "../../web/palette_png.mjs";

const sources = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "web", "src");

async function load(name) {
  const { outputFiles } = requirePackage("esbuild").buildSync({ entryPoints: [join(sources, name)], bundle: true, format: "esm", write: false });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

const format = await load("format.ts");
const { Attention, Labelling } = await load("labelling.ts");
const plan = await load("forecast_plan.ts");

test("shares never round a few to none or most to all", () => {
  assert.equal(format.percent(0), "0 %");
  assert.equal(format.percent(0.004), "<1 %");
  assert.equal(format.percent(0.5), "50 %");
  assert.equal(format.percent(0.996), ">99 %");
  assert.equal(format.percent(1), "100 %");
});

test("counts agree with their noun", () => {
  assert.equal(format.plural(1, "image"), "1 image");
  assert.equal(format.plural(1200, "image"), "1,200 images");
  assert.equal(format.plural(2, "batch", "batches"), "2 batches");
});

test("an unknown currency is still shown", () => {
  assert.equal(format.money(1.5, "EUR"), "€1.50");
  assert.equal(format.money(1.5, "not a code"), "1.50 not a code");
});

test("minutes go from seconds to hours, and a rest of rounding is none", () => {
  assert.deepEqual([0, 1e-9, 0.5, 12.4, 90, 150].map(format.minutes), ["0 min", "0 min", "30 s", "12 min", "1.5 h", "2.5 h"]);
});

test("spans read as people say them", () => {
  assert.equal(format.span(-5), "0 s");
  assert.equal(format.span(59.4), "59 s");
  assert.equal(format.span(60), "1 min");
  assert.equal(format.span(3 * 3600 + 5 * 60), "3 h 05 min");
  assert.equal(format.span(72 * 3600), "3 days");
});

test("a broken time is no time", () => {
  assert.equal(format.ago("not a time", Date.now()), "");
  assert.equal(format.ago("2030-01-01T00:00:00Z", Date.parse("2030-01-01T00:05:00Z")), "5 min ago");
});

test("file names come from paths of any shape", () => {
  assert.equal(format.fileName("/a/b/c.jpg"), "c.jpg");
  assert.equal(format.fileName("c.jpg"), "c.jpg");
  assert.equal(format.fileName("/a/b/"), "/a/b/");
});

test("every entropy has words", () => {
  const words = new Set([0, 0.3, 0.7, 0.9, 1].map((entropy) => format.entropyWords(entropy, 10)));
  assert.equal(words.size, 5);
  assert.match(format.entropyWords(0, 0), /Nothing is labelled/);
});

test("targets that were not given share what is left", () => {
  assert.deepEqual(format.effectiveTargets([0.5, null, null]), [0.5, 0.25, 0.25]);
  assert.deepEqual(format.effectiveTargets([null, null]), [0.5, 0.5]);
  assert.deepEqual(format.effectiveTargets([0.7, 0.6, null]), [0.7, 0.6, 0]);
  assert.deepEqual(format.effectiveTargets([]), []);
});

test("a mix fills its bar exactly, with the unknown at the end", () => {
  const segments = format.mixSegments([{ class: "a", labelled: 2, predicted: 3 }, { class: "b", labelled: 0, predicted: 1 }], 10);
  assert.deepEqual(segments.map((one) => [one.class, one.kind, one.n]), [["a", "labelled", 2], ["a", "predicted", 3], ["b", "predicted", 1], ["", "unknown", 4]]);
  assert.ok(Math.abs(segments.reduce((sum, one) => sum + one.share, 0) - 1) < 1e-12);
});

test("a mix larger than the stated size still fits its bar", () => {
  const segments = format.mixSegments([{ class: "a", labelled: 8, predicted: 4 }], 10);
  assert.ok(Math.abs(segments.reduce((sum, one) => sum + one.share, 0) - 1) < 1e-12);
  assert.deepEqual(format.mixSegments([], 0), []);
});

test("points have a sign and one decimal", () => {
  assert.equal(format.points(0.0106), "+1.1");
  assert.equal(format.points(-0.016), "−1.6");
  assert.equal(format.points(-0.0004), "+0.0");
});

test("budgets are round, go with the labels there are, and never beyond what is left", () => {
  assert.deepEqual(plan.budgets(300, 5000), [20, 50, 100, 200, 500]);
  assert.deepEqual(plan.budgets(0, 5000), [10, 20, 50, 100, 200]);
  assert.deepEqual(plan.budgets(10_000, 1_000_000), [1000, 2000, 5000, 10_000, 20_000]);
  assert.deepEqual(plan.budgets(300, 120), [20, 50, 100]);
  assert.deepEqual(plan.budgets(300, 7), [7]);
  assert.deepEqual(plan.budgets(300, 0), []);
  assert.equal(plan.usualBudget([20, 50, 100, 200, 500]), 100);
  assert.equal(plan.usualBudget([]), undefined);
});

test("ticks are round and inside", () => {
  assert.deepEqual(plan.ticks(0, 500, 5), [0, 100, 200, 300, 400, 500]);
  assert.deepEqual(plan.ticks(0.65, 0.95, 3).map((tick) => tick.toFixed(2)), ["0.70", "0.80", "0.90"]);
  assert.ok(Object.is(plan.ticks(0, 1, 2)[0], 0));
  assert.deepEqual(plan.ticks(1, 1, 3), []);
});

test("an axis of shares holds all values and stays between 0 and 1", () => {
  assert.deepEqual(plan.shareRange([0.66, 0.91]), [0.65, 0.95]);
  assert.deepEqual(plan.shareRange([0.02, 0.999]), [0, 1]);
  assert.deepEqual(plan.shareRange([0.7, 0.7]), [0.65, 0.75]);
});

test("a point has a price only where a gain is expected", () => {
  assert.equal(plan.pricePerPoint(12, 0.02), 6);
  assert.equal(plan.pricePerPoint(12, 0), null);
  assert.equal(plan.pricePerPoint(12, null), null);
  assert.equal(plan.pricePerPoint(0, 0.02), null);
});

test("a pick moves on to the next open item, around the end", () => {
  const bench = new Labelling([1, 2, 3, 4], new Set([2]));
  assert.equal(bench.image, 1);
  assert.ok(bench.pick("a", 1));
  assert.equal(bench.image, 3);
  bench.move(3);
  assert.ok(bench.pick("b", 1));
  assert.equal(bench.image, 3);
  assert.ok(bench.pick("c", 1));
  assert.deepEqual([...bench.picks].map(([image, pick]) => [image, pick.class]), [[1, "a"], [4, "b"], [3, "c"]]);
});

test("what was returned takes no pick", () => {
  const bench = new Labelling([1, 2], new Set([1]));
  bench.move(0);
  assert.equal(bench.pick("a", 1), false);
  assert.equal(bench.open, 1);
});

test("undo restores picks in reverse, and where they were made", () => {
  const bench = new Labelling([1, 2, 3], new Set());
  bench.pick("a", 1);
  bench.pick("b", 1);
  bench.move(0);
  bench.pick("c", 1);
  assert.ok(bench.undo());
  assert.equal(bench.picks.get(1).class, "a");
  assert.ok(bench.undo());
  assert.equal(bench.image, 2);
  assert.equal(bench.picks.has(2), false);
  assert.ok(bench.undo());
  assert.equal(bench.undo(), false);
  assert.equal(bench.picks.size, 0);
});

test("clearing a pick can be undone", () => {
  const bench = new Labelling([1, 2], new Set());
  bench.pick("a", 1);
  bench.move(0);
  assert.ok(bench.clear());
  assert.equal(bench.clear(), false);
  assert.ok(bench.undo());
  assert.equal(bench.picks.get(1).class, "a");
});

test("kept picks come back only where they still apply", () => {
  const bench = new Labelling([1, 2, 3], new Set([2]));
  bench.restore([[1, { class: "a", seconds: 1 }], [2, { class: "b", seconds: 1 }], [9, { class: "c", seconds: 1 }]]);
  assert.deepEqual([...bench.picks.keys()], [1]);
  assert.equal(bench.image, 3);
});

test("seconds of work leave out hidden windows and long pauses", () => {
  const clock = new Attention(0, 60);
  assert.equal(clock.take(2500), 2.5);
  clock.pause(3500);
  clock.resume(50000);
  assert.equal(clock.take(51000), 2);
  assert.equal(clock.take(10_000_000), 60);
});

/* Pixels of a PNG as palettePng writes it: one IDAT, no filters. */
function pixelsOf(png, width, height) {
  const chunks = new Map();
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    chunks.set(png.toString("latin1", at + 4, at + 8), png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const rows = inflateSync(chunks.get("IDAT"));
  const colours = [];
  for (let y = 0; y < height; y++) {
    assert.equal(rows[y * (width + 1)], 0);
    for (let x = 0; x < width; x++) {
      const index = rows[y * (width + 1) + 1 + x];
      colours.push([...chunks.get("PLTE").subarray(index * 3, index * 3 + 3)]);
    }
  }
  return colours;
}

test("a picture of few colours keeps each of them exactly", () => {
  const colours = [[255, 0, 0], [1, 2, 3], [246, 246, 244], [255, 0, 0], [9, 9, 9], [1, 2, 3]];
  const png = palettePng(Buffer.from(colours.flatMap((rgb) => [...rgb, 255])), 3, 2);
  assert.deepEqual(pixelsOf(png, 3, 2), colours);
});

test("a picture of many colours keeps each within a few steps", () => {
  const colours = Array.from({ length: 64 * 64 }, (_, i) => [(i % 64) * 4, Math.floor(i / 64) * 4, 128]);
  const seen = pixelsOf(palettePng(Buffer.from(colours.flatMap((rgb) => [...rgb, 255])), 64, 64), 64, 64);
  const worst = Math.max(...seen.map((rgb, i) => Math.max(...rgb.map((value, c) => Math.abs(value - colours[i][c])))));
  assert.ok(worst <= 24, `a colour is off by ${worst}`);
});
