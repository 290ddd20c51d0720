/* Runs the test file that is named, or says what is missing for it and exits 77 ("skipped" for ctest). */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromiumPath, packagesFolder } from "../../web/browser.mjs";
import { BACKBONE, GLEANER, STAMPS } from "./server.mjs";

const needed = [
  ["Chromium", chromiumPath],
  ["the program", GLEANER],
  ["the backbone", BACKBONE],
  ["the photos (tuxpaint-stamps-default)", STAMPS],
];
for (const [what, path] of needed) {
  if (!existsSync(path)) {
    console.log(`skipped: ${what} is missing (${path})`);
    process.exit(77);
  }
}
if (packagesFolder() === null) {
  console.log("skipped: playwright-core is not installed; build gleaner with GLN_WEB=ON");
  process.exit(77);
}

const test = join(dirname(fileURLToPath(import.meta.url)), process.argv[2]);
const { status } = spawnSync(process.execPath, ["--test", test], { stdio: "inherit" });
process.exit(status ?? 1);
