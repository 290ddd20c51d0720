/*
 * A picture of the dashboard of a running server, as in the README:
 *
 *     node web/screenshot.mjs LOGIN_URL OUT.png [dark]
 *
 * LOGIN_URL is the link that `gleaner serve` prints; it is used up. Shows what is there and changes nothing: a project
 * with clusters, labels enough for a forecast (40) and an open batch makes the best picture.
 */
import { writeFileSync } from "node:fs";
import { launchChromium } from "./browser.mjs";
import { palettePng } from "./palette_png.mjs";

const [login, out, theme] = process.argv.slice(2);
if (login === undefined || out === undefined) {
  console.error("usage: node web/screenshot.mjs LOGIN_URL OUT.png [dark]");
  process.exit(2);
}

const browser = await launchChromium();
try {
  const page = await browser.newPage({ viewport: { width: 1360, height: 1160 }, colorScheme: theme === "dark" ? "dark" : "light" });
  await page.goto(login);
  await page.waitForSelector("#clusters:not([aria-busy]) .card, #clusters .state");
  await page.waitForSelector("#overview .curve svg, #overview .steps");
  await page.waitForSelector("#batch .bench, #batch form, #batch .state");
  await page.waitForFunction(() =>
    [...document.querySelectorAll(".picture img")]
      .filter((img) => img.getBoundingClientRect().top < innerHeight)
      .every((img) => img.complete && img.naturalWidth > 0),
  );
  const picture = await page.screenshot();
  const keep = await page.evaluate(() => {
    const style = getComputedStyle(document.documentElement);
    const names = ["accent", "warn", "danger", ...Array.from({ length: 16 }, (_, i) => `class-${i}`)];
    return names.map((name) => parseInt(style.getPropertyValue(`--${name}`).trim().slice(1), 16));
  });
  // The browser itself decodes what it took, on a page without a content security policy.
  const blank = await browser.newPage();
  const { pixels, width, height } = await blank.evaluate(async (base64) => {
    const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    let binary = "";
    for (let i = 0; i < data.length; i += 32768) binary += String.fromCharCode(...data.subarray(i, i + 32768));
    return { pixels: btoa(binary), width: bitmap.width, height: bitmap.height };
  }, picture.toString("base64"));
  const small = palettePng(Buffer.from(pixels, "base64"), width, height, keep);
  writeFileSync(out, small);
  console.log(`${out}: ${width} x ${height}, ${Math.ceil(small.length / 1024)} KiB`);
} finally {
  await browser.close();
}
