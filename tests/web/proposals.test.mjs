/*
 * Labels for many images at once, from the offer over the audit of a sample to acceptance and back: in a real browser
 * against the real server, the sample labelled on the bench by keys.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { openPage } from "./page.mjs";
import { STAMPS, makeData, serve } from "./server.mjs";

const CLASSES = ["animals", "food", "plants", "vehicles"];
const LABELS = 25; // of each class
// A pool of 290 pays for small audits only.
const BOUND = 30;
const CONFIDENCE = 70;

describe("proposals", { concurrency: 1 }, () => {
  let data, server, browser, page, complaints, api, nameless;

  before(async () => {
    data = makeData({ project: "demo", classes: CLASSES, folders: CLASSES, resample: true });
    server = await serve(data.data);
    ({ browser, page, complaints, api, nameless } = await openPage());
    await page.goto(server.login);
    await page.locator("#clusters .card").first().waitFor();
    const { items } = await api("GET", "/images?limit=1000");
    const of = (name) => items.filter((one) => one.path.startsWith(join(STAMPS, name))).slice(0, LABELS);
    const labels = CLASSES.flatMap((name) => of(name).map((one) => ({ image: one.id, class: name })));
    await api("POST", "/labels", { labels, source: "imported" });
    await page.keyboard.press("Shift+R");
    await page.getByText("The resample is done.").waitFor({ timeout: 120_000 });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    data?.remove();
  });

  const labels = async () => (await api("GET", "")).labels;
  const newest = async () => (await api("GET", "/audits?limit=1")).items[0];

  test("a demand that makes no sense is refused by name, another one brings offers with cost and chance", async () => {
    await page.keyboard.press("p");
    const bound = page.getByLabel(/At most/);
    await bound.fill("0");
    await page.keyboard.press("Enter");
    await page.locator("#proposals [role=alert]").getByText(/0.1 to 50/).waitFor();
    await bound.fill(String(BOUND));
    await page.getByLabel(/confidence/).fill(String(CONFIDENCE));
    await page.keyboard.press("Enter");
    await page.locator("#proposals .offer").first().waitFor();
    assert.equal(await page.locator("#proposals [role=alert]").isVisible(), false);
    const { items } = await api("GET", `/proposals?bound=${BOUND / 100}&confidence=${CONFIDENCE / 100}`);
    assert.equal(await page.locator("#proposals .offer").count(), items.length);
    const text = await page.locator("#proposals .offer").first().innerText();
    assert.ok(text.includes(`Audit ${items[0].sample} image`), text);
    assert.ok(text.includes(`€${items[0].price.toFixed(2)}`), text);
    assert.deepEqual(await nameless(), []);
  });

  test("an audit leases its sample, which is labelled on the bench by keys", async () => {
    const [offer] = (await api("GET", `/proposals?bound=${BOUND / 100}&confidence=${CONFIDENCE / 100}`)).items.filter((one) => one.kind === "cluster");
    const row = page.locator(`.offer[data-cluster="${offer.cluster}"]`, { hasText: offer.class });
    await row.getByRole("button", { name: /^Audit/ }).click();
    await page.locator(".bench .item").first().waitFor();
    const audit = await newest();
    assert.deepEqual([audit.cluster, audit.class, audit.state, audit.bound], [offer.cluster, offer.class, "auditing", BOUND / 100]);
    assert.equal(await page.locator(".bench .item").count(), audit.sample);
    await page.keyboard.press("p"); // the items do not say what is proposed, so there is nothing to take over
    assert.equal(await page.locator(".bench .item.picked").count(), 0);
    assert.ok(await page.locator(".bench").isVisible());
    // Whoever labels here agrees with the proposal throughout, so that it passes.
    for (let i = 0; i < audit.sample; i++) await page.keyboard.press(String(1 + CLASSES.indexOf(offer.class)));
    await page.keyboard.press("Shift+Enter");
    await page.locator("#batch form").waitFor();
    assert.equal((await newest()).state, "passed");
    await page.locator("#batch .done").getByRole("link", { name: "See what it says" }).click();
    await page.locator("#proposals .audit-row").waitFor();
  });

  test("what passed is accepted, undone by Ctrl+Z, and said so", async () => {
    const before = await labels();
    const audit = await newest();
    await page.keyboard.press("p");
    const row = page.locator(`.audit-row[data-audit="${audit.id}"]`);
    await row.getByText("passed: accept it").waitFor();
    assert.equal(await page.locator(`.offer[data-cluster="${audit.cluster}"]`, { hasText: audit.class }).count(), 0);
    await row.getByRole("button", { name: /^Accept/ }).click();
    await row.getByText("accepted", { exact: true }).waitFor();
    const accepted = await newest();
    assert.equal(accepted.labels, audit.images - audit.sample);
    assert.equal(await labels(), before + accepted.labels);
    await page.keyboard.press("Control+z");
    await row.getByText("taken back", { exact: true }).waitFor();
    assert.equal(await labels(), before);
    assert.equal((await newest()).state, "undone");
    await page.waitForFunction((n) => document.querySelectorAll(".counts strong")[1]?.textContent === String(n), before);
  });

  test("a narrow window shows all of it", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    assert.deepEqual(await nameless(), []);
  });

  test("the browser had nothing to complain about", () => {
    assert.deepEqual(complaints, []);
  });
});
