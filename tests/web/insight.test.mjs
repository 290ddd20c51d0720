/*
 * What a labeling lead looks at beside the batch: overview, forecast, labels that look wrong, drift. One evening in a real
 * browser against the real server: first without labels, then with some that are wrong, then with photos of another kind.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { openPage } from "./page.mjs";
import { STAMPS, makeData, serve } from "./server.mjs";

const CLASSES = ["animals", "food", "plants", "vehicles"];
const LABELS = 25; // of each class
const WRONG = [3, 11]; // of each class, the ones with these places

describe("insight", { concurrency: 1 }, () => {
  let data, server, browser, page, complaints, picturesLoaded, api, nameless;
  const wrong = new Map(); // image to the class that it should have

  before(async () => {
    data = makeData({ project: "demo", classes: CLASSES, folders: CLASSES, resample: true });
    server = await serve(data.data, "--allow-root", STAMPS);
    ({ browser, page, complaints, picturesLoaded, api, nameless } = await openPage());
    await page.goto(server.login);
    await page.locator("#clusters .card").first().waitFor();
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    data?.remove();
  });

  const idle = (selector) => page.locator(`${selector}:not([aria-busy])`).waitFor();
  const labelOf = async (image) => (await api("GET", `/images/${image}`)).history.find((one) => one.ended === null);

  async function resample() {
    await page.keyboard.press("Shift+R");
    const done = page.getByText("The resample is done.");
    await done.waitFor({ timeout: 120_000 });
    await page.locator(".toast", { has: done }).getByRole("button", { name: "Dismiss" }).click();
  }

  test("without labels every page says what to do next", async () => {
    await page.locator("#overview .steps .current").getByText("Label a batch").waitFor();
    await page.keyboard.press("f");
    await page.locator("#forecast").getByText("Take a first batch and label it").waitFor();
    assert.match(page.url(), /#\/forecast$/);
    assert.match(await page.title(), /^Forecast – demo/);
    await page.keyboard.press("l");
    await page.locator("#label-checks").getByText("Nothing is checked yet").waitFor();
    await page.keyboard.press("d");
    await page.locator("#drift").getByText("No new photos since").waitFor();
    await page.goBack();
    await page.locator("#label-checks").waitFor();
    await page.keyboard.press("f");
    await page.getByRole("button", { name: "Go to the batch" }).click();
    await page.locator("#batch form").waitFor();
  });

  test("with labels, two of each class wrong, the overview has a curve, a gain with its price and the suspects", async () => {
    const { items } = await api("GET", "/images?limit=1000");
    const labels = [];
    CLASSES.forEach((name, c) => {
      const own = items.filter((one) => one.path.startsWith(join(STAMPS, name))).slice(0, LABELS);
      assert.equal(own.length, LABELS);
      own.forEach((one, i) => {
        const given = WRONG.includes(i) ? CLASSES[(c + 1) % CLASSES.length] : name;
        if (given !== name) wrong.set(one.id, name);
        labels.push({ image: one.id, class: given, annotator: "anna", seconds: 4 });
      });
    });
    const answer = await api("POST", "/labels", { labels, source: "imported" });
    assert.equal(answer.taken, CLASSES.length * LABELS);
    await resample();
    await page.locator("#overview .curve svg").waitFor();
    assert.match(await page.locator("#overview .curve svg").getAttribute("aria-label"), /^Balanced accuracy over labels: about \d+ % with 100 labels/);
    const gain = page.locator("#overview .glance-tile").first();
    assert.match(await gain.innerText(), /€\d.*\d+ (s|min)\n[+−]\d+\.\d points/);
    const checks = await api("GET", "/label-checks?limit=1000");
    assert.ok(checks.items.length >= 2, checks.words);
    assert.match(await page.locator("#overview .glance-tile").nth(1).innerText(), new RegExp(`\n${checks.items.length}\n`));
    assert.equal(await page.locator('.pages a[href="#/label-checks"] .note [aria-hidden]').innerText(), String(checks.items.length));
  });

  test("the forecast answers for each budget as the interface does, and a key moves between them", async () => {
    await page.keyboard.press("f");
    await idle("#forecast");
    const rows = page.locator("#forecast .budgets tbody tr");
    const sizes = await rows.evaluateAll((list) => list.map((row) => Number(row.dataset.labels)));
    assert.deepEqual(sizes, [10, 20, 50, 100]); // 190 are left: not 200
    for (const [i, size] of sizes.entries()) {
      const answer = await api("GET", `/forecast?labels=${size}`);
      const text = await rows.nth(i).innerText();
      assert.ok(text.includes(`€${answer.price.toFixed(2)}`), text);
      assert.ok(text.includes(`${answer.gain < 0 ? "−" : "+"}${Math.abs(Math.round(answer.gain * 1000) / 10).toFixed(1)} points`), text);
      assert.match(text, /–\s*$/); // nobody said what a point is worth
    }
    await page.locator("#forecast .budgets input:checked").focus();
    await page.keyboard.press("ArrowDown");
    await page.locator("#forecast .verdict").getByText("The next 50 labels").waitFor();
    assert.equal(await page.locator("#forecast tr.chosen").getAttribute("data-labels"), "50");
    assert.equal(await page.locator("#forecast .per-class tbody tr").count(), CLASSES.length);
  });

  test("what a point is worth gives a chance, is kept over a reload, and nonsense is refused by name", async () => {
    const worth = page.getByLabel(/is worth/);
    await worth.fill("0");
    await page.keyboard.press("Enter");
    await page.locator("#forecast [role=alert]").getByText(/above 0/).waitFor();
    await worth.fill("2.5");
    await page.getByLabel(/Ask also for/).fill("33");
    await page.keyboard.press("Enter");
    const row = page.locator('#forecast tr[data-labels="33"]');
    await row.waitFor();
    assert.equal(await page.locator("#forecast [role=alert]").isVisible(), false);
    const answer = await api("GET", "/forecast?labels=33&point_value=2.5");
    const chance = Math.round(answer.p_worth * 100);
    assert.match(await row.innerText(), new RegExp(`${chance < 1 ? "<1|0" : chance > 99 ? ">99|100" : chance} %\\s*$`));
    assert.equal(await page.locator("#forecast .verdict strong").innerText(), answer.verdict === "worth-it" ? "Worth it" : "Not worth it");
    await page.reload();
    await page.locator("#forecast .budgets").waitFor();
    assert.equal(await worth.inputValue(), "2.5");
  });

  test("a label that looks wrong is relabelled by a key, and Ctrl+Z brings the old one back as it was", async () => {
    await page.keyboard.press("l");
    await picturesLoaded("#label-checks .check");
    const images = () => page.locator("#label-checks .check").evaluateAll((list) => list.map((row) => Number(row.dataset.image)));
    const first = (await api("GET", "/label-checks?limit=1")).items[0];
    const before = await images();
    assert.equal(before[0], first.image);
    assert.ok(before.some((image) => wrong.has(image)), "none of the wrong labels is suspected");
    const was = await labelOf(first.image);
    assert.deepEqual([was.class, was.annotator, was.source], [first.given, "anna", "imported"]);

    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("r");
    await page.getByText(`Labelled ${first.suggested}.`).waitFor();
    assert.equal((await labelOf(first.image)).class, first.suggested);
    await idle("#label-checks");
    assert.deepEqual(await images(), before.slice(1));
    // The next one is ready for the next key.
    assert.equal(await page.evaluate(() => Number(document.activeElement.closest(".check").dataset.image)), before[1]);

    await page.keyboard.press("Control+z");
    await page.waitForFunction((n) => document.querySelectorAll("#label-checks .check").length === n, before.length);
    assert.deepEqual(await images(), before);
    const back = await labelOf(first.image);
    assert.deepEqual([back.class, back.annotator, back.source], [was.class, was.annotator, was.source]);
  });

  test("a label that is right is kept over a reload, and can be looked at again", async () => {
    const rows = page.locator("#label-checks .check");
    const n = await rows.count();
    const kept = await rows.first().getAttribute("data-image");
    await rows.first().locator("[data-act=look]").focus();
    await page.keyboard.press("k");
    await page.waitForFunction((left) => document.querySelectorAll("#label-checks .check").length === left, n - 1);
    await page.keyboard.press("Control+z");
    await page.waitForFunction((left) => document.querySelectorAll("#label-checks .check").length === left, n);
    await rows.first().locator("[data-act=keep]").click();
    await page.waitForFunction((left) => document.querySelectorAll("#label-checks .check").length === left, n - 1);
    await page.reload();
    await rows.first().waitFor();
    assert.equal(await rows.count(), n - 1);
    assert.notEqual(await rows.first().getAttribute("data-image"), kept);
    await page.getByRole("button", { name: "Show again" }).click();
    await page.waitForFunction((left) => document.querySelectorAll("#label-checks .check").length === left, n);
  });

  test("another class than the suggested one can be given, and details open from the photo", async () => {
    const row = page.locator("#label-checks .check").first();
    const image = Number(await row.getAttribute("data-image"));
    await row.locator("[data-act=look]").click();
    await page.locator("dialog.image-dialog .similar-strip .tile").first().waitFor();
    await page.keyboard.press("Escape");
    const other = await row.locator("select option").nth(1).getAttribute("value");
    await row.locator("select").selectOption(other);
    await page.getByText(`Labelled ${other}.`).waitFor();
    assert.equal((await labelOf(image)).class, other);
  });

  test("a batch has second looks where the form asks for them", async () => {
    const suspects = new Set((await api("GET", "/label-checks?limit=1000")).items.map((one) => one.image));
    await page.keyboard.press("b");
    await page.locator('#batch input[name="amount"]').fill("6");
    await page.getByLabel("second looks").selectOption("50 %");
    await page.getByRole("button", { name: "Take batch" }).click();
    await page.locator(".bench .item").first().waitFor();
    const [{ id, request }] = (await api("GET", "/batches?limit=1")).items;
    assert.equal(request.relabel, 0.5);
    const { items, feasibility } = await api("GET", `/batches/${id}`);
    const looks = items.filter((one) => one.arm === "check");
    assert.equal(looks.length, Math.min(3, suspects.size));
    assert.ok(looks.every((one) => suspects.has(one.image)));
    assert.equal(await page.locator(".bench .item .badge.check").count(), looks.length);
    for (const { image, label } of looks) {
      const tile = page.locator(`.bench .item[data-image="${image}"]`);
      assert.equal(await tile.locator(".item-words").innerText(), label);
      const [badge, whole] = await Promise.all([tile.locator(".badge").boundingBox(), tile.boundingBox()]);
      assert.ok(badge.width < whole.width / 2 && badge.height < whole.height / 4, "a badge, not a bar");
    }
    assert.ok((await page.locator("#batch .promise").textContent()).includes(feasibility.relabel.words));
    await page.getByRole("button", { name: "Give back" }).click();
    await page.locator("dialog.confirm").getByRole("button", { name: "Give back" }).click();
    await page.locator("#batch form").waitFor();
  });

  test("photos of another kind are drift: where they lie, with photos", async () => {
    const { id } = await api("POST", "/images", { paths: [join(STAMPS, "symbols")] });
    while (!["done", "failed"].includes((await api("GET", `/runs/${id}`)).state)) await page.waitForTimeout(200);
    await page.getByText("The ingest is done.").waitFor();
    await resample();
    await page.locator('.pages a[href="#/drift"] .note').waitFor();
    await page.keyboard.press("d");
    await page.locator("#drift .verdict").getByText("The pool has changed", { exact: true }).waitFor();
    const drift = await api("GET", "/drift");
    assert.equal(drift.verdict, "found");
    assert.equal(await page.locator("#drift .drift-clusters > li").count(), drift.clusters.length);
    const first = page.locator("#drift .drift-clusters > li").first();
    await picturesLoaded("#drift .drift-side");
    await first.locator(".tile").first().click();
    await page.locator("dialog.image-dialog h2").getByText(/\.png$/).waitFor();
    assert.match(await page.locator("dialog.image-dialog .fact-list").innerText(), /symbols/);
    await page.keyboard.press("Escape");
    await first.getByRole("button", { name: /^Open/ }).click();
    await page.locator("dialog.drawer .tile").first().waitFor();
    await page.keyboard.press("Escape");
  });

  test("a batch is taken from where the new photos lie, another one asked for and left", async () => {
    const { cluster } = (await api("GET", "/drift")).clusters[0];
    await page.locator("#drift .drift-clusters > li").first().getByRole("button", { name: "Take a batch from it" }).click();
    await page.locator("#batch form").getByText(`Only from Cluster ${cluster}`).waitFor();
    await page.keyboard.type("4");
    await page.keyboard.press("Enter");
    await page.locator(".bench .item").first().waitFor();
    const [batch] = (await api("GET", "/batches?limit=1")).items;
    assert.deepEqual([batch.size, batch.request.cluster], [4, cluster]);
    await page.getByRole("button", { name: "Take another" }).click();
    await page.locator("#batch form").waitFor();
    await page.locator("#batch").getByRole("button", { name: "Cancel" }).click();
    assert.equal(await page.locator(".bench .item").count(), 4);
  });

  test("drift is accepted after a question, and the acceptance taken back", async () => {
    await page.keyboard.press("d");
    await page.getByRole("button", { name: "Accept the pool as it is" }).click();
    await page.locator("dialog.confirm").getByRole("button", { name: "Keep" }).click();
    assert.equal((await api("GET", "/drift")).accepted, false);
    await page.getByRole("button", { name: "Accept the pool as it is" }).click();
    await page.locator("dialog.confirm").getByRole("button", { name: "Accept" }).click();
    await page.locator("#drift .verdict").getByText("Accepted", { exact: true }).waitFor();
    assert.equal((await api("GET", "/drift")).accepted, true);
    assert.equal(await page.locator('.pages a[href="#/drift"] .note').count(), 0);
    await page.keyboard.press("Control+z");
    await page.getByRole("button", { name: "Accept the pool as it is" }).waitFor();
    assert.equal((await api("GET", "/drift")).accepted, false);
  });

  test("every control has a name, and no page is wider than a narrow window", async () => {
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 844 });
      for (const key of ["o", "f", "l", "d", "p"]) {
        await page.keyboard.press(key);
        await page.locator(".pages a[aria-current]").waitFor();
        await page.waitForLoadState("networkidle");
        assert.deepEqual(await nameless(), []);
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(over <= 0, `${key} at ${width} is wider by ${over}`);
        const { left, right } = await page.locator(".pages a[aria-current]").evaluate((one) => one.getBoundingClientRect().toJSON());
        assert.ok(left >= 0 && right <= width, `the name of page ${key} at ${width}: from ${left} to ${right}`);
      }
    }
  });

  test("a table wider than a narrow window scrolls in its own box, by keys as well", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.keyboard.press("f");
    for (const name of ["Forecast by budget", "Forecast by class"]) {
      const box = page.getByRole("region", { name });
      assert.ok(await box.evaluate((one) => one.scrollWidth > one.clientWidth && one.getBoundingClientRect().right <= innerWidth), name);
      await box.focus();
      for (let i = 0; i < 12; i++) await page.keyboard.press("ArrowRight");
      await page.waitForFunction((label) => {
        const one = document.querySelector(`[role=region][aria-label="${label}"]`);
        return one.querySelector("th:last-child").getBoundingClientRect().right <= one.getBoundingClientRect().right + 1;
      }, name);
    }
  });

  test("the browser had nothing to complain about", () => {
    assert.deepEqual(complaints, []);
  });

  test("a server that is gone is an error with a way to try again", async () => {
    await page.goto(`${server.url}/#/`);
    await page.reload();
    await page.locator("#overview .curve svg").waitFor();
    await server.stop();
    await page.keyboard.press("f");
    await page.locator("#forecast [role=alert]").getByText(/does not answer/).waitFor();
    await page.locator("#forecast").getByRole("button", { name: "Try again" }).waitFor();
  });
});
