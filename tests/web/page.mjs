/* A page in a fresh browser, what it complained about, and what tests ask of it again and again. */
import { launchChromium } from "../../web/browser.mjs";

export async function openPage() {
  const browser = await launchChromium();
  const context = await browser.newContext({ viewport: { width: 1400, height: 1000 }, colorScheme: "light" });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));

  /* Every picture in view has come. */
  const picturesLoaded = (selector) =>
    page.waitForFunction((one) => {
      const images = [...document.querySelectorAll(`${one} img`)].filter((img) => img.getBoundingClientRect().top < innerHeight);
      return images.length > 0 && images.every((img) => img.complete && img.naturalWidth > 0);
    }, selector);

  /* The HTTP interface with the session of the page. */
  const api = (method, path, body) =>
    page.evaluate(
      async ([verb, where, what]) => {
        const { csrf } = await (await fetch("/v1/session")).json();
        const init = { method: verb, headers: { "X-Gleaner-CSRF": csrf } };
        if (what !== undefined) Object.assign(init, { body: JSON.stringify(what), headers: { ...init.headers, "Content-Type": "application/json" } });
        const answer = await fetch(`/v1/projects/demo${where}`, init);
        return answer.status === 204 ? null : answer.json();
      },
      [method, path, body],
    );

  /* Visible controls without a name, and fields without a label, as a screen reader would meet them. */
  const nameless = () =>
    page.evaluate(() =>
      [...document.querySelectorAll("a, button, input, select, textarea, [role=img], [role=group], [role=listbox]")]
        .filter((one) => one.checkVisibility())
        .filter((one) => {
          const named = one.getAttribute("aria-label") ?? document.getElementById(one.getAttribute("aria-labelledby"))?.textContent;
          const text = "labels" in one && one.labels?.length > 0 ? one.labels[0].textContent : one.matches("input, select, textarea") ? "" : one.textContent;
          return `${named ?? ""}${text}`.trim() === "";
        })
        .map((one) => one.outerHTML.slice(0, 120)),
    );

  return { browser, page, complaints, picturesLoaded, api, nameless };
}
