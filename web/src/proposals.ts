/*
 * Labels for many images at once: what is proposed, the audit of a random sample that each costs, acceptance once the
 * sample shows few enough errors, and taking it back.
 */
import { api, freshKey, projectPath, thumbnailUrl } from "./api";
import { className } from "./classes";
import { openCluster } from "./cluster_drawer";
import { confirmed } from "./dialog";
import { button, h, picture, prose, replace, svg } from "./dom";
import { ago, count, finePercent, minutes, money, percent, plural } from "./format";
import { PagePanel, empty } from "./panel";
import { clusterName } from "./rename";
import { resampleNow } from "./runs";
import { changed, guard, project, reloadProject, wish } from "./state";
import { report, toast } from "./toast";
import type { Audit, AuditState, Cluster, ClusterList, List, Proposal, Proposals } from "./types";

type Note = (text: string, words: string, look?: string) => void;

const STATES: Record<AuditState, { words: string; look: string }> = {
  auditing: { words: "being labelled", look: "" },
  passed: { words: "passed: accept it", look: "good" },
  failed: { words: "failed", look: "bad" },
  accepted: { words: "accepted", look: "good" },
  broken: { words: "no longer holds", look: "bad" },
  undone: { words: "taken back", look: "" },
};

interface Answer {
  proposals: Proposals | null; // null: nothing was resampled yet
  audits: Audit[];
  clusters: Map<number, Cluster>;
}

export class ProposalsPanel extends PagePanel {
  private readonly audits = h("div", {});
  private readonly list = h("div", {});
  private readonly bound = h("input", {
    type: "number",
    name: "bound",
    min: 0.1,
    max: 50,
    step: "any",
    value: 5,
    inputmode: "decimal",
  });
  private readonly confidence = h("input", {
    type: "number",
    name: "confidence",
    min: 50,
    max: 99.9,
    step: "any",
    value: 95,
    inputmode: "decimal",
  });
  private readonly problem = h("p", { class: "error", role: "alert", hidden: true });
  private readonly form: HTMLFormElement;

  constructor(private readonly note: Note) {
    super("proposals", "Labels for many images at once", 4, "insight", "batch");
    this.form = h(
      "form",
      { class: "row ask", novalidate: true, "aria-label": "What an audit has to show" },
      h(
        "label",
        { class: "field" },
        "At most",
        this.bound,
        h("span", { class: "unit" }, "% of the accepted labels wrong"),
      ),
      h("label", { class: "field" }, "with a confidence of", this.confidence, h("span", { class: "unit" }, "%")),
      h("button", { type: "submit" }, "Ask"),
      this.problem,
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    for (const input of [this.bound, this.confidence]) input.addEventListener("change", () => this.ask());
  }

  async refresh(): Promise<void> {
    await this.load(
      async (): Promise<Answer> => {
        const base = projectPath(project().name);
        const audits = await api<List<Audit>>("GET", `${base}/audits`, { query: { limit: 50 } });
        if (project().published_run === null) return { proposals: null, audits: audits.items, clusters: new Map() };
        const [proposals, clusters] = await Promise.all([
          api<Proposals>("GET", `${base}/proposals`, { query: this.demand() }),
          api<ClusterList>("GET", `${base}/clusters`),
        ]);
        return { proposals, audits: audits.items, clusters: new Map(clusters.items.map((one) => [one.id, one])) };
      },
      (answer) => this.show(answer),
    );
  }

  private demand(): { bound: number; confidence: number } {
    return { bound: this.bound.valueAsNumber / 100, confidence: this.confidence.valueAsNumber / 100 };
  }

  private ask(): void {
    const wrong = [this.bound, this.confidence].find((input) => !input.validity.valid || input.value === "");
    this.problem.hidden = wrong === undefined;
    if (wrong === undefined) void this.refresh();
    else
      this.problem.textContent =
        wrong === this.bound
          ? "The share that may be wrong is from 0.1 to 50 %."
          : "The confidence is from 50 to 99.9 %.";
  }

  private show({ proposals, audits, clusters }: Answer): void {
    const passed = audits.filter((one) => one.state === "passed").length;
    const broken = audits.filter((one) => one.state === "broken").length;
    this.note(
      broken > 0 ? "!" : passed > 0 ? count(passed) : "",
      broken > 0 ? "an acceptance no longer holds" : `${count(passed)} passed and can be accepted`,
      broken > 0 ? "warn" : "",
    );
    replace(
      this.audits,
      audits.length > 0 &&
        h(
          "section",
          { class: "audits" },
          h("h3", {}, "Audits"),
          h("ul", { class: "audit-list" }, ...audits.map((one) => auditRow(one, clusters))),
        ),
    );
    if (proposals === null) {
      replace(
        this.body,
        empty(
          "Nothing is proposed yet",
          h("p", {}, "Proposals come from clusters, predictions and near-duplicates: resample first."),
          project().images > 0 && resampleNow("primary"),
        ),
        this.audits,
      );
      return;
    }
    const intro = h(
      "p",
      { class: "muted" },
      "The classifier and the clusters agree on these. Nothing is taken on trust: a random sample of each goes to a person first, and what was accepted can be taken back.",
    );
    // While an audit of a group is on its way, another one of it would only cost.
    const open = audits.filter((one) => one.state === "auditing" || one.state === "passed");
    const offers = proposals.items.filter(
      (one) =>
        !open.some((audit) => audit.kind === one.kind && audit.cluster === one.cluster && audit.class === one.class),
    );
    const rows = offers.map((one) => this.offer(one, clusters));
    replace(
      this.list,
      h(
        "section",
        {},
        h("h3", {}, "Proposals"),
        h("p", { role: "status" }, ...prose(proposals.words)),
        rows.length > 0 && h("ul", { class: "offer-list" }, ...rows),
      ),
      rows.length === 0 &&
        open.length === 0 &&
        h(
          "p",
          { class: "muted" },
          "A larger share that may be wrong, or less confidence, takes smaller audits; with more labels the classifier is surer, and more is proposed.",
        ),
    );
    if (this.list.parentElement !== this.body) replace(this.body, intro, this.audits, this.form, this.list);
  }

  private offer(one: Proposal, clusters: ReadonlyMap<number, Cluster>): HTMLElement {
    const cost = [one.price > 0 ? money(one.price, project().currency) : "", minutes(Math.ceil(one.minutes))]
      .filter((part) => part !== "")
      .join(", ");
    const key = freshKey();
    const take = guard(
      button(`Audit ${plural(one.sample, "image")}`, () => void this.take(one, key, take)),
      "lead",
    );
    return h(
      "li",
      { class: "offer", "data-cluster": one.cluster, "data-kind": one.kind },
      medoids(one.cluster, clusters),
      h("div", { class: "offer-words" }, groupName(one, clusters), h("p", { class: "muted" }, one.words)),
      h(
        "dl",
        { class: "offer-figures" },
        h("div", {}, h("dt", {}, "Saves"), h("dd", {}, h("span", { class: "big num" }, count(one.saves)), " labels")),
        h("div", {}, h("dt", {}, "Passes"), h("dd", { class: "num" }, `${percent(one.p_pass)} likely`)),
      ),
      h("div", { class: "offer-acts" }, take, h("span", { class: "muted num" }, cost)),
    );
  }

  private async take(one: Proposal, key: string, control: HTMLButtonElement): Promise<void> {
    control.disabled = true;
    const { kind, cluster } = one;
    const body = { kind, ...(kind === "cluster" ? { cluster, class: one.class } : {}), ...this.demand() };
    try {
      const audit = await api<Audit>("POST", projectPath(project().name, "/audits"), {
        body,
        headers: { "Idempotency-Key": key },
      });
      toast(`Batch ${audit.batch} is the random sample: ${plural(audit.sample, "image")} to label.`);
      changed("ledger", "batch");
      wish({ batch: audit.batch });
    } catch (error) {
      control.disabled = false;
      report(error);
    }
  }
}

function medoids(cluster: number | null, clusters: ReadonlyMap<number, Cluster>): HTMLElement {
  const images = (cluster === null ? undefined : clusters.get(cluster))?.medoids.slice(0, 3) ?? [];
  return h(
    "div",
    { class: "offer-photos" },
    ...images.map((image) => picture(thumbnailUrl(project().name, image), "")),
  );
}

/* "Cluster 17, 80 images as print", or what else is proposed together. */
function groupName(
  one: Pick<Proposal, "kind" | "cluster" | "class" | "images">,
  clusters: ReadonlyMap<number, Cluster>,
): HTMLElement {
  const cluster = one.cluster === null ? undefined : clusters.get(one.cluster);
  if (one.kind === "clusters")
    return h("p", {}, h("strong", {}, "Surest of all clusters"), `, ${plural(one.images, "image")}: each as predicted`);
  if (one.kind === "duplicates")
    return h("p", {}, h("strong", {}, "Near-duplicates"), `, ${plural(one.images, "image")}: each as its group`);
  const name =
    cluster === undefined
      ? h("strong", {}, `Cluster ${one.cluster ?? ""}`)
      : button(clusterName(cluster), () => openCluster(cluster), { class: "link" });
  return h(
    "p",
    { class: "row" },
    name,
    h("span", {}, `${plural(one.images, "image")} as`),
    one.class === null ? h("strong", {}, "?") : className(one.class),
  );
}

/* How far the audit is, and how its bound compares with what was asked. */
function progress(audit: Audit): HTMLElement {
  const words = `${count(audit.answered)} of ${count(audit.sample)} labelled, ${count(audit.disagree)} ${audit.disagree === 1 ? "disagrees" : "disagree"} (${count(audit.allowed)} allowed)`;
  const share = (n: number): string => `${audit.sample === 0 ? 0 : (n / audit.sample) * 100}%`;
  return h(
    "div",
    { class: "votes" },
    svg(
      "svg",
      { class: "share-bar", "aria-hidden": "true" },
      svg("rect", { class: "rest", width: "100%", height: 8, rx: 2 }),
      svg("rect", { class: "agree", width: share(audit.answered), height: 8, rx: 2 }),
      svg("rect", { class: "part", width: share(audit.disagree), height: 8, rx: 2 }),
    ),
    h("span", { class: "muted num" }, words),
  );
}

function auditRow(audit: Audit, clusters: ReadonlyMap<number, Cluster>): HTMLElement {
  const { words, look } = STATES[audit.state];
  const acts: HTMLElement[] = [];
  if (audit.state === "auditing" && audit.batch_state === "leased")
    acts.push(button("Label the sample", () => wish({ batch: audit.batch }), { class: "primary" }));
  if (audit.state === "passed")
    acts.push(
      guard(
        button(`Accept ${plural(audit.images - audit.sample, "label")}`, () => void accept(audit), {
          class: "primary",
        }),
        "lead",
      ),
    );
  if (audit.state === "accepted" || audit.state === "broken")
    acts.push(
      guard(
        button("Take back", () => void takeBack(audit), { class: audit.state === "broken" ? "danger" : "" }),
        "lead",
      ),
    );
  return h(
    "li",
    { class: "audit-row", "data-audit": audit.id },
    h(
      "div",
      { class: "offer-words" },
      groupName(audit, clusters),
      progress(audit),
      h("p", { class: "muted" }, audit.words),
    ),
    h(
      "div",
      { class: "audit-state" },
      h("span", { class: `state-chip ${look}` }, words),
      audit.state !== "auditing" &&
        h(
          "span",
          { class: "muted num" },
          `at most ${finePercent(audit.error_bound)} wrong; asked: ${finePercent(audit.bound)}`,
        ),
      h("span", { class: "muted" }, `batch ${audit.batch}, ${ago(audit.created, Date.now())}`),
    ),
    h("div", { class: "offer-acts" }, ...acts),
  );
}

async function send(audit: Audit, what: "accept" | "undo"): Promise<Audit> {
  const answer = await api<Audit>("POST", projectPath(project().name, `/audits/${audit.id}/${what}`));
  changed("clusters", "balance", "batch", "insight");
  void reloadProject();
  return answer;
}

async function accept(audit: Audit): Promise<void> {
  try {
    const answer = await send(audit, "accept");
    const undo = (): void => {
      send(answer, "undo").catch(report);
    };
    toast(`${plural(answer.labels, "label")} accepted.`, { undo });
  } catch (error) {
    report(error);
  }
}

async function takeBack(audit: Audit): Promise<void> {
  const words = `${plural(audit.standing, "proposed label")} of this acceptance end; labels that people gave stay. It cannot be accepted again without another audit.`;
  if (!(await confirmed("Take back the proposed labels?", words, "Take back"))) return;
  try {
    await send(audit, "undo");
    toast("Taken back.");
  } catch (error) {
    report(error);
  }
}
