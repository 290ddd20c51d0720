/*
 * Turns the built files into one C file: node embed_assets.mjs DIST OUT.c
 *
 * Each file becomes an array of its bytes and a row of a table sorted by path, which gln_asset_find searches by halves.
 * The ETag is the beginning of the content's SHA-256, so it changes exactly when the content does. A
 * build without a dashboard (GLN_WEB=OFF) uses no_assets.c instead.
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";

const CONTENT_TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

function filesBelow(folder, prefix = "") {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesBelow(join(folder, entry.name), `${prefix}/${entry.name}`) : [`${prefix}/${entry.name}`],
  );
}

/* Plain byte order, as strcmp sees it. */
function byBytes(a, b) {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function array(index, bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 24) lines.push(`    ${[...bytes.subarray(at, at + 24)].join(",")},`);
  return `static const unsigned char bytes_${index}[] = {\n${lines.join("\n")}\n};\n`;
}

const [dist, out] = process.argv.slice(2);
if (dist === undefined || out === undefined) throw new Error("usage: node embed_assets.mjs DIST OUT.c");

const rows = [];
const arrays = [];
for (const [index, path] of filesBelow(dist).sort(byBytes).entries()) {
  const bytes = readFileSync(join(dist, path));
  const type = CONTENT_TYPES[extname(path)];
  if (type === undefined) throw new Error(`${path}: no content type is known for this ending; add it to embed_assets.mjs`);
  if (bytes.length === 0) throw new Error(`${path} is empty`);
  if (/[^\x21-\x7e]|["\\]/.test(path)) throw new Error(`${path}: only plain ASCII names can be embedded`);
  const etag = createHash("sha256").update(bytes).digest("hex").slice(0, 32);
  arrays.push(array(index, bytes));
  rows.push(`    {"${path}", "${type}", bytes_${index}, sizeof bytes_${index}, "\\"${etag}\\""},\n`);
}
if (rows.length === 0) throw new Error(`${dist} holds no files`);

writeFileSync(
  out,
  `/* Made by web/embed_assets.mjs from the built dashboard. */
#include "web/assets.h"

#include <string.h>

${arrays.join("\n")}
static const gln_asset assets[] = {
${rows.join("")}};

const gln_asset *gln_asset_find(const char *path)
{
    size_t low = 0, high = sizeof assets / sizeof assets[0];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(path, assets[middle].path);
        if (order == 0) return &assets[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return NULL;
}
`,
);
