/* The batch that is out: what was promised, how long it is still ours, and the bench where it gets its labels. */
import { api, projectPath } from "./api";
import { BatchForm } from "./batch_form";
import { Bench, forgetPicks } from "./bench";
import { className } from "./classes";
import { confirmed } from "./dialog";
import { button, type Child, h, replace, scrollBox } from "./dom";
import { count, minutes, money, percent, plural, span } from "./format";
import { pageLink } from "./pages";
import { Panel, empty } from "./panel";
import { resampleNow } from "./runs";
import { changed, guard, may, on, project, reloadProject, state, type Named } from "./state";
import { report, toast } from "./toast";
import type { Batch, LabelAnswer, List } from "./types";

export class BatchPanel extends Panel {
  private readonly summary = h("span", { class: "muted num" });
  private readonly lease = h("span", { class: "lease num" });
  private bench: Bench | null = null;
  private form: BatchForm | null = null;
  private batch: Batch | null = null;
  private leased: readonly Batch[] = [];
  private chosen: number | null = null;
  private finished = "";
  private forAudit = false; // what was finished
  private asking = false; // for one more batch, while others are out
  private readonly clock: number;

  constructor() {
    super("batch", "Current batch", 3);
    this.title.append(this.summary);
    on("batch", () => void this.refresh());
    on("wish", () => this.heed());
    this.clock = window.setInterval(() => this.tick(), 1000);
  }

  stop(): void {
    window.clearInterval(this.clock);
    this.bench?.stop();
  }

  async refresh(): Promise<void> {
    await this.load(
      async () => {
        const base = projectPath(project().name, "/batches");
        const { items } = await api<List<Batch>>("GET", base, { query: { limit: 50 } });
        const leased = items.filter((one) => one.state === "leased");
        const one = leased.find((each) => each.id === this.chosen) ?? leased[0];
        return { leased, batch: one === undefined ? null : await api<Batch>("GET", `${base}/${one.id}`) };
      },
      ({ leased, batch }) => {
        this.leased = leased;
        this.show(batch);
      },
    );
  }

  focus(): void {
    this.element.scrollIntoView({ block: "start" });
    if (this.bench !== null) this.bench.focus();
    else if (this.form !== null) this.form.focus();
    else this.element.focus();
  }

  private heed(): void {
    const { wish } = state;
    state.wish = null;
    if (wish === null) return;
    if ("cluster" in wish) {
      this.ask(wish.cluster);
      return;
    }
    this.chosen = wish.batch;
    this.asking = false;
    void this.refresh().then(() => this.focus());
  }

  /* The form for another batch, over the one that is out. */
  private ask(cluster: Named | null): void {
    if (project().published_run === null) return;
    this.asking = this.batch !== null;
    this.bench?.stop();
    this.bench = null;
    this.form = null;
    this.finished = "";
    this.showForm(cluster);
    this.form!.focus();
  }

  private stopAsking(): void {
    this.asking = false;
    this.show(this.batch);
    this.focus();
  }

  private show(batch: Batch | null): void {
    if (this.asking && batch !== null) {
      this.batch = batch;
      return;
    }
    this.asking = false;
    const hadFocus = this.element.contains(document.activeElement);
    if (batch !== null && this.bench !== null && this.batch?.id === batch.id && this.bench.sameItems(batch)) {
      this.batch = batch;
      this.showHead();
      return;
    }
    this.bench?.stop();
    this.bench = null;
    this.batch = batch;
    if (batch === null) {
      this.showForm();
      if (hadFocus) this.element.focus({ preventScroll: true });
      return;
    }
    this.form = null;
    this.finished = "";
    this.bench = new Bench(batch, () => this.showHead());
    this.showHead();
    replace(this.body, this.promise(batch), this.bench.element);
    if (hadFocus) this.bench.focus();
  }

  private showHead(): void {
    const { batch, leased } = this;
    if (batch === null) return;
    const { currency } = project();
    const open = batch.leased;
    const picked = this.bench?.picked ?? 0;
    const cost = batch.price > 0 ? `, ${money(batch.price, currency)}` : "";
    this.summary.textContent = `#${batch.id} · ${plural(batch.size, "image")}, ${count(batch.labelled)} labelled, ${count(open)} open${cost}${batch.minutes > 0 ? `, ${minutes(batch.minutes)}` : ""}`;

    const send = guard(
      button(picked === 0 ? "Return labels" : `Return ${plural(picked, "label")}`, () => void this.returnLabels(), { class: "primary return", title: "Return what is picked (Shift+Enter)" }),
      "annotator",
    );
    if (picked === 0) send.disabled = true;
    const choose = h("select", { "aria-label": "Which batch" });
    for (const one of leased) choose.append(h("option", { value: one.id, selected: one.id === batch.id }, `Batch ${one.id}${one.holder === "" ? "" : `, ${one.holder}`}`));
    choose.addEventListener("change", () => {
      this.chosen = Number(choose.value);
      void this.refresh();
    });
    const active = document.activeElement;
    const focusedTool = active instanceof HTMLElement && this.tools.contains(active) ? active.dataset["tool"] : undefined;
    send.dataset["tool"] = "return";
    const renew = guard(button("Renew", () => void this.renew(), { class: "quiet", title: "Start the lease anew", "data-tool": "renew" }), "annotator");
    const another = guard(button("Take another", () => this.ask(null), { class: "quiet", "data-tool": "another" }), "lead");
    const back = guard(button("Give back", () => void this.giveBack(), { class: "quiet", "data-tool": "back" }), "lead");
    replace(this.tools, leased.length > 1 && choose, this.lease, another, renew, back, send);
    if (focusedTool !== undefined) this.tools.querySelector<HTMLElement>(`[data-tool="${focusedTool}"]`)?.focus();
    this.tick();
  }

  private showForm(cluster: Named | null = null): void {
    this.summary.textContent = "";
    replace(this.tools);
    this.lease.textContent = "";
    if (project().published_run === null) {
      this.form = null;
      replace(
        this.body,
        empty(
          "No batch yet",
          h("p", {}, project().images === 0 ? "First the pool needs images." : "Batches are taken from a resampled pool: resample once, then take the first one."),
          project().images > 0 && resampleNow("primary"),
        ),
      );
      return;
    }
    // A refresh must not empty a form that someone is filling in.
    if (this.form !== null && this.form.element.isConnected && this.finished === "") return;
    const taken = (batch: Batch): void => {
      this.chosen = batch.id;
      this.asking = false;
      toast(`Took batch ${batch.id}: ${plural(batch.size, "image")}.`);
      changed("batch", "ledger");
      this.element.focus();
    };
    this.form = new BatchForm(taken, cluster, this.asking ? () => this.stopAsking() : null);
    const done: Child =
      this.finished === "" ? null : h("p", { class: "done" }, h("span", {}, this.finished), this.forAudit ? pageLink("proposals", {}, "See what it says") : resampleNow("link"));
    replace(this.body, done, may("lead") ? null : h("p", { class: "muted" }, "No batch is out. A lead takes one."), this.form.element);
  }

  /* What was asked and what can be had, as the selection said it. */
  private promise(batch: Batch): HTMLElement | null {
    const { words, classes, drift, relabel } = batch.feasibility;
    const short = classes.filter((one) => !one.met);
    if (classes.length === 0) return words === "" ? null : h("p", { class: "promise met" }, words.charAt(0).toUpperCase() + words.slice(1));
    const table = h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...["Class", "Target", "Labelled", "Wanted", "Expected", "Available", ""].map((title) => h("th", { scope: "col" }, title)))),
    );
    const rows = h("tbody", {});
    for (const one of classes) {
      rows.append(
        h(
          "tr",
          { class: one.met ? "" : "short" },
          h("th", { scope: "row" }, className(one.class)),
          ...[percent(one.target_share), count(one.labelled), count(one.wanted), one.expected.toFixed(1), count(one.available)].map((text) => h("td", { class: "num" }, text)),
          h("td", {}, one.met ? "can be met" : one.words),
        ),
      );
    }
    table.append(rows);
    const verdict = short.length === 0 ? "All quotas can be met." : `${plural(short.length, "quota")} cannot be met: ${short.map((one) => one.class).join(", ")}.`;
    return h(
      "details",
      { class: `promise ${short.length === 0 ? "met" : "short"}` },
      h("summary", {}, h("strong", {}, verdict), words !== "" && h("span", {}, words)),
      scrollBox("Quotas by class", table),
      drift != null && h("p", { class: "muted" }, drift.words),
      relabel != null && h("p", { class: "muted" }, relabel.words),
    );
  }

  private tick(): void {
    if (this.batch === null) return;
    const left = (Date.parse(this.batch.expires) - Date.now()) / 1000;
    this.lease.textContent = left <= 0 ? "lease over" : `${span(left)} left`;
    this.lease.title = `The lease ends at ${new Date(this.batch.expires).toLocaleString()}`;
    this.lease.classList.toggle("soon", left < 600);
    if (left <= -2) {
      this.batch = null;
      toast("The lease is over: images without a label are free again.", { kind: "error" });
      changed("batch", "ledger");
    }
  }

  async returnLabels(): Promise<void> {
    const { batch, bench } = this;
    if (batch === null || bench === null || bench.picked === 0) return;
    const labels = bench.labels();
    bench.busy(true);
    try {
      const answer = await api<LabelAnswer>("POST", projectPath(project().name, `/batches/${batch.id}/labels`), { body: { labels, source: "human" } });
      const refused = new Set(answer.rejected.map((one) => one.index));
      bench.sent(labels.filter((_, i) => !refused.has(i)).map((one) => one.image));
      const first = answer.rejected[0];
      if (first !== undefined) toast(`${plural(answer.rejected.length, "label was", "labels were")} refused. ${first.detail}`, { kind: "error" });
      if (answer.taken > 0) toast(`${plural(answer.taken, "label")} returned.`);
      if (answer.batch !== undefined && answer.batch.state !== "leased") {
        const of = `Batch ${batch.id} is complete: ${plural(answer.batch.labelled, "label")}.`;
        this.forAudit = batch.items?.every((one) => one.arm === "proposal") ?? false;
        this.finished = this.forAudit ? `${of} It was the sample of an audit.` : `${of} Resample to learn from them before the next one.`;
        this.chosen = null;
      }
      changed("batch", "clusters", "balance", "ledger");
      void reloadProject();
    } catch (error) {
      report(error);
    } finally {
      bench.busy(false);
    }
  }

  private async renew(): Promise<void> {
    if (this.batch === null) return;
    try {
      const answer = await api<Batch>("POST", projectPath(project().name, `/batches/${this.batch.id}/renew`), { body: {} });
      this.batch = { ...this.batch, expires: answer.expires };
      toast(`Renewed: ${span((Date.parse(answer.expires) - Date.now()) / 1000)} left.`);
      this.tick();
    } catch (error) {
      report(error);
    }
  }

  private async giveBack(): Promise<void> {
    const { batch, bench } = this;
    if (batch === null || bench === null) return;
    const lost = bench.picked === 0 ? "" : ` ${plural(bench.picked, "label")} picked here but not returned will be lost.`;
    const words = `${plural(batch.leased, "image")} without a label become free for others, and the money reserved for them is released.${lost}`;
    if (!(await confirmed(`Give back batch ${batch.id}?`, words, "Give back"))) return;
    try {
      await api<void>("DELETE", projectPath(project().name, `/batches/${batch.id}`));
      forgetPicks(batch.id);
      this.chosen = null;
      toast(`Batch ${batch.id} was given back.`);
      changed("batch", "ledger", "clusters");
    } catch (error) {
      report(error);
    }
  }
}
