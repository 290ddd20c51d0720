/*
 * A picture of the dashboard of a running server, as in the README:
 *
 *     node web/screenshot.mjs LOGIN_URL OUT.png [dark]
 *
 * LOGIN_URL is the line that `gleaner serve` prints; it is used up. Takes what is there: nothing is changed in the project.
 */
import { launchChromium } from "./browser.mjs";

const [login, out, theme] = process.argv.slice(2);
if (login === undefined || out === undefined) {
  console.error("usage: node web/screenshot.mjs LOGIN_URL OUT.png [dark]");
  process.exit(2);
}

const browser = await launchChromium();
try {
  const page = await browser.newPage({ viewport: { width: 1360, height: 1020 }, colorScheme: theme === "dark" ? "dark" : "light" });
  await page.goto(login);
  await page.waitForSelector("#clusters:not([aria-busy]) .card, #clusters .state");
  await page.waitForSelector("#batch .bench, #batch form, #batch .state");
  await page.waitForFunction(() =>
    [...document.querySelectorAll(".picture img")]
      .filter((img) => img.getBoundingClientRect().top < innerHeight)
      .every((img) => img.complete && img.naturalWidth > 0),
  );
  await page.screenshot({ path: out });
} finally {
  await browser.close();
}
