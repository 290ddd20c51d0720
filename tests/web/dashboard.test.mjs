/*
 * The dashboard in a real browser against the real server, from the log-in link to a returned batch. The steps share one
 * page, as a person's evening would; a step that fails fails those after it.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openPage } from "./page.mjs";
import { makeData, serve } from "./server.mjs";

const HOSTILE = "<img src=x onerror=window.hostile=1>";
const CLASSES = ["animals", "food", "plants", "vehicles", HOSTILE];
const FOLDERS = ["food/fruit", "plants", "vehicles"];
const BATCH = 12;

describe("dashboard", { concurrency: 1 }, () => {
  let data, server, browser, page, complaints, picturesLoaded;

  before(async () => {
    data = makeData({ project: "demo", classes: CLASSES, folders: FOLDERS, resample: true });
    server = await serve(data.data);
    ({ browser, page, complaints, picturesLoaded } = await openPage());
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    data?.remove();
  });

  const labelled = async () => Number(await page.locator(".counts strong").nth(1).textContent());

  test("without credentials the page says how to log in", async () => {
    await page.goto(server.url);
    await page.getByRole("heading", { name: /Log in with the link/ }).waitFor();
    assert.match(await page.locator("main").innerText(), /gleaner serve/);
    // The one 401 that the browser itself reports is what was asked for.
    assert.ok(complaints.every((text) => text.includes("401")), complaints.join("\n"));
    complaints.length = 0;
  });

  test("the link logs in and shows clusters with their medoids", async () => {
    await page.goto(server.login);
    await page.locator("#clusters .card").first().waitFor();
    await picturesLoaded("#clusters .card");
    assert.ok((await page.locator("#clusters .card").count()) >= 2);
    assert.ok((await page.locator("#clusters .verdict").innerText()).length > 20);
    assert.match(await page.locator(".counts").innerText(), /\d+ images/);
    assert.equal(await labelled(), 0);
    assert.match(await page.locator("#balance").innerText(), /Nothing is labelled yet/);
  });

  test("a class name is text, never markup", async () => {
    await page.locator("#balance").getByText(HOSTILE, { exact: true }).waitFor();
    assert.equal(await page.locator('img[src="x"]').count(), 0);
    assert.equal(await page.evaluate(() => window.hostile), undefined);
  });

  test("the form takes a batch, and says what can be met", async () => {
    await page.keyboard.press("b");
    await page.keyboard.type(String(BATCH));
    await page.keyboard.press("Enter");
    await page.locator(".bench .item").first().waitFor();
    assert.equal(await page.locator(".bench .item").count(), BATCH);
    await picturesLoaded(".bench .item");
    assert.match(await page.locator("#batch .promise").innerText(), /met/);
    assert.match(await page.locator("#batch .reason").innerText(), /\S/);
    assert.match(await page.locator("#batch .lease").innerText(), /left/);
    await page.waitForFunction(() => !document.querySelector("#budget").innerText.includes("Reserved\n€0.00"));
  });

  test("number keys pick and move on, U undoes, arrows move, and picks outlive a reload", async () => {
    await page.keyboard.press("b");
    const chosen = () => page.locator('.bench .item[aria-selected="true"]').evaluate((item) => [...item.parentNode.children].indexOf(item));
    assert.equal(await chosen(), 0);
    await page.keyboard.press("2");
    assert.equal(await chosen(), 1);
    await page.keyboard.press("3");
    assert.equal(await page.locator(".bench .item.picked").count(), 2);
    await page.keyboard.press("u");
    assert.equal(await page.locator(".bench .item.picked").count(), 1);
    assert.equal(await chosen(), 1);
    await page.keyboard.press("ArrowRight");
    assert.equal(await chosen(), 2);
    await page.keyboard.press("ArrowLeft");
    await page.reload();
    await page.locator(".bench .item.picked").waitFor();
    assert.equal(await page.locator(".bench .item.picked").count(), 1);
  });

  test("Enter opens the details with similar images, Escape closes them", async () => {
    await page.keyboard.press("b");
    await page.keyboard.press("Enter");
    const dialog = page.locator("dialog.image-dialog");
    await dialog.locator(".similar-strip .tile").first().waitFor();
    await picturesLoaded("dialog.image-dialog .similar-strip");
    await page.keyboard.press("o");
    await page.waitForFunction(() => document.querySelector("dialog figure img")?.src.endsWith("/original"));
    await picturesLoaded("dialog.image-dialog figure");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
  });

  test("the whole batch is labelled and returned from the keyboard, and the balance changes", async () => {
    await page.keyboard.press("b");
    for (let i = 1; i < BATCH; i++) await page.keyboard.press(String(2 + (i % 3)));
    await page.getByRole("button", { name: `Return ${BATCH} labels` }).waitFor();
    await page.keyboard.press("Shift+Enter");
    await page.locator("#batch form").waitFor();
    assert.match(await page.locator("#batch .done").innerText(), new RegExp(`${BATCH} labels`));
    await page.locator("#overview .steps .current").getByText("Resample again").waitFor();
    await page.waitForFunction((n) => document.querySelectorAll(".counts strong")[1]?.textContent === String(n), BATCH);
    await page.waitForFunction((n) => document.querySelector("#balance").innerText.includes(`${n} labels`), BATCH);
    await page.waitForFunction(() => document.querySelector("#budget").innerText.includes("Charged\n€0.60"));
    const counts = await page.locator("#balance .balance-rows .num:not(.muted)").allInnerTexts();
    assert.equal(counts.reduce((sum, text) => sum + Number(text), 0), BATCH);
  });

  test("a cluster is renamed in place, undone, renamed again, and keeps it over a reload", async () => {
    const card = page.locator("#clusters .card").first();
    const id = await card.getAttribute("data-cluster");
    const name = page.locator(`.card[data-cluster="${id}"] button.name`);
    const before = await name.innerText();
    const rename = async (text, key) => {
      await page.locator(`.card[data-cluster="${id}"] .open`).focus();
      await page.keyboard.press("F2");
      await page.keyboard.type(text);
      await page.keyboard.press(key);
    };
    await rename("not this", "Escape");
    assert.equal(await name.innerText(), before);
    await rename("first try", "Enter");
    await page.waitForFunction((one) => document.querySelector(`.card[data-cluster="${one}"] button.name`)?.innerText === "first try", id);
    await page.getByRole("button", { name: "Undo" }).click();
    await page.waitForFunction(([one, text]) => document.querySelector(`.card[data-cluster="${one}"] button.name`)?.innerText === text, [id, before]);
    await rename("<b>bold</b> & fruit", "Enter");
    await page.getByText("Renamed to “<b>bold</b> & fruit”").waitFor(); // not the toast of the first try
    await page.reload();
    await name.waitFor();
    assert.equal(await name.innerText(), "<b>bold</b> & fruit");
  });

  test("a cluster opens with all of its images", async () => {
    const card = page.locator("#clusters .card").first();
    const size = Number((await card.locator(".card-size").innerText()).match(/^\d+/)[0]);
    await card.locator(".open").focus();
    await page.keyboard.press("Enter");
    const drawer = page.locator("dialog.drawer");
    await page.waitForFunction((n) => document.querySelectorAll("dialog.drawer .tile").length === n, size);
    await picturesLoaded("dialog.drawer .tile");
    await drawer.getByRole("button", { name: "Not labelled", exact: true }).click();
    await page.waitForFunction((n) => document.querySelectorAll("dialog.drawer .tile").length <= n, size);
    await page.keyboard.press("Escape");
    await drawer.waitFor({ state: "detached" });
  });

  test("a batch is given back after a question", async () => {
    await page.keyboard.press("b");
    await page.keyboard.type("5");
    await page.keyboard.press("Enter");
    await page.locator(".bench .item").first().waitFor();
    await page.getByRole("button", { name: "Give back" }).click();
    await page.locator("dialog.confirm").getByText("5 images without a label").waitFor();
    await page.locator("dialog.confirm").getByRole("button", { name: "Give back" }).click();
    await page.locator("#batch form").waitFor();
  });

  test("an impossible request is refused with a sentence", async () => {
    await page.locator('input[name="amount"]').fill("0");
    await page.keyboard.press("Enter");
    await page.locator("#batch [role=alert]").getByText(/at least 1/).waitFor();
  });

  test("resampling shows its progress and ends with predictions", async () => {
    await page.locator("header.top").getByRole("button", { name: "Resample" }).click();
    await page.getByText("The resample is done.").waitFor({ timeout: 120_000 });
    await page.locator("#clusters .mix rect.predicted").first().waitFor({ state: "attached" });
  });

  test("the theme follows the system, and the toggle outlives a reload", async () => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.emulateMedia({ colorScheme: "dark" });
    const dark = await ground();
    assert.notEqual(dark, light);
    await page.emulateMedia({ colorScheme: "light" });
    await page.getByRole("button", { name: "Light or dark theme" }).click();
    assert.equal(await ground(), dark);
    await page.reload();
    await page.locator("#clusters .card").first().waitFor();
    assert.equal(await ground(), dark);
  });

  test("the help lists the keys", async () => {
    await page.keyboard.press("?");
    await page.getByRole("heading", { name: "Labelling" }).waitFor();
    await page.keyboard.press("Escape");
  });

  test("a narrow window has nothing wider than itself", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  });

  test("the browser had nothing to complain about", () => {
    assert.deepEqual(complaints, []);
  });
});
