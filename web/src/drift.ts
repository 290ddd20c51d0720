/* Whether new photos lie as those before: since when, how much, where, with photos of both, and accepting it. */
import { api, projectPath } from "./api";
import { openCluster, takeBatch } from "./cluster_drawer";
import { confirmed } from "./dialog";
import { button, type Child, h, prose, replace, scrollBox } from "./dom";
import { count, finePercent, plural, points } from "./format";
import { openImage } from "./image_dialog";
import { PagePanel, empty } from "./panel";
import { clusterName } from "./rename";
import { resampleNow } from "./runs";
import { changed, guard, project } from "./state";
import { imageTile } from "./thumb_list";
import { report, toast } from "./toast";
import type { Cluster, Drift, DriftCluster, DriftTest, Image, List } from "./types";

const SAMPLES = 6;

const TITLES: Record<Drift["verdict"], { title: string; look: string }> = {
  found: { title: "The pool has changed", look: "weak" },
  none: { title: "No sign of drift", look: "good" },
  unknown: { title: "Too early to say", look: "open" },
};

/* What a cluster holds of either side, with photos. */
interface Shown {
  drift: DriftCluster;
  cluster: Cluster | null; // null: a resample has dissolved it meanwhile
  arrivals: Image[];
  before: Image[];
}

interface Answer {
  drift: Drift;
  since: string | null; // when the last image of the window came
  shown: Shown[];
}

export class DriftPanel extends PagePanel {
  constructor() {
    super("drift", "Drift", 4, "insight");
  }

  async refresh(): Promise<void> {
    await this.load(ask, (answer) => this.show(answer));
  }

  private show({ drift, since, shown }: Answer): void {
    const { title, look } = TITLES[drift.verdict];
    replace(
      this.tools,
      drift.run !== null &&
        !drift.accepted &&
        guard(
          button("Accept the pool as it is", () => void accept(drift), {
            class: drift.verdict === "found" ? "" : "quiet",
          }),
          "lead",
        ),
    );
    if (drift.run === null) {
      replace(
        this.body,
        empty("Nothing to compare yet", h("p", {}, ...prose(drift.words)), project().images > 0 && resampleNow("")),
      );
      return;
    }
    if (drift.arrivals === 0) {
      replace(
        this.body,
        empty(
          "No new photos since",
          h(
            "p",
            {},
            `${plural(drift.reference ?? 0, "image")} are the window that later arrivals are compared with${since === null ? "" : `, up to ${day(since)}`}. Ingest new photos and resample: this page then says whether they lie as those before.`,
          ),
        ),
      );
      return;
    }
    replace(
      this.body,
      drift.accepted &&
        h(
          "p",
          { class: "verdict open" },
          h("strong", {}, "Accepted"),
          h("span", {}, "The next resample compares with all images up to now; below is what was found before."),
          h(
            "span",
            { class: "row" },
            resampleNow("link"),
            guard(
              button("Take it back", () => void takeBack(drift), { class: "link" }),
              "lead",
            ),
          ),
        ),
      h("p", { class: `verdict ${look}` }, h("strong", {}, title), h("span", {}, drift.words)),
      h(
        "dl",
        { class: "figures" },
        fact("New photos", count(drift.arrivals ?? 0), since === null ? "" : `since ${day(since)}`),
        fact("Compared with", count(drift.reference ?? 0), "photos of the window before"),
        fact(
          "Tests that show it",
          `${count(significant(drift).length)} of ${count(drift.tests.length)}`,
          drift.alpha === null ? "" : `together a false alarm in ${finePercent(drift.alpha)} of looks`,
        ),
      ),
      shown.length > 0 &&
        h(
          "section",
          {},
          h("h3", {}, "Where the new photos lie"),
          h("ul", { class: "drift-clusters" }, ...shown.map((one) => clusterRow(one))),
        ),
      tests(drift),
    );
  }
}

async function ask(): Promise<Answer> {
  const base = projectPath(project().name);
  const drift = await api<Drift>("GET", `${base}/drift`);
  const reference = drift.reference_image;
  if (reference === null) return { drift, since: null, shown: [] };
  // Where the window ends and what the clusters hold is told beside it: without it the verdict still stands.
  const image = await api<Image>("GET", `${base}/images/${reference}`).catch(() => null);
  const list = (query: Record<string, number>): Promise<Image[]> =>
    api<List<Image>>("GET", `${base}/images`, { query })
      .then((answer) => answer.items)
      .catch(() => []);
  const shown = await Promise.all(
    drift.clusters.map(async (one): Promise<Shown> => {
      const [cluster, arrivals, oldest] = await Promise.all([
        api<Cluster>("GET", `${base}/clusters/${one.cluster}`).catch(() => null),
        list({ cluster: one.cluster, after: reference, limit: SAMPLES }),
        list({ cluster: one.cluster, limit: SAMPLES }),
      ]);
      return { drift: one, cluster, arrivals, before: oldest.filter((each) => each.id <= reference) };
    }),
  );
  return { drift, since: image?.added ?? null, shown };
}

function day(at: string): string {
  return new Date(at).toLocaleDateString("en", { day: "numeric", month: "long", year: "numeric" });
}

function fact(term: string, value: string, words: string): HTMLElement {
  return h(
    "div",
    {},
    h("dt", {}, term),
    h("dd", {}, h("span", { class: "big num" }, value), h("span", { class: "muted" }, words)),
  );
}

function significant(drift: Drift): DriftTest[] {
  return drift.tests.filter((one) => one.p_corrected < (drift.alpha ?? 0));
}

function strip(title: string, images: readonly Image[], none: string): HTMLElement {
  const ids = images.map((one) => one.id);
  return h(
    "div",
    { class: "drift-side" },
    h("p", { class: "muted" }, title),
    images.length === 0
      ? h("p", { class: "muted none" }, none)
      : h(
          "div",
          { class: "tiles" },
          ...images.map((one, index) => imageTile(one, () => openImage(one.id, { list: ids, index }))),
        ),
  );
}

function clusterRow({ drift, cluster, arrivals, before }: Shown): HTMLElement {
  const name = cluster === null ? `Cluster ${drift.cluster}` : clusterName(cluster);
  const open: Child =
    cluster === null
      ? h("strong", {}, name)
      : button(name, () => openCluster(cluster), { class: "link", "aria-label": `Open ${name}` });
  return h(
    "li",
    {},
    h(
      "p",
      { class: "row" },
      open,
      h("span", { class: "num" }, `${finePercent(drift.share_arrivals)} of the new photos`),
      h("span", { class: "muted num" }, `${finePercent(drift.share_reference)} of those before`),
      h("span", { class: "spring" }),
      cluster !== null && takeBatch(cluster),
    ),
    h(
      "div",
      { class: "drift-sides" },
      strip(`New here (${count(drift.arrivals)})`, arrivals, "They are in another cluster by now."),
      strip("Here before", before, "None: this cluster is new."),
    ),
  );
}

/* What a test found, in words; its effect has another unit for each kind. */
function testWords(test: DriftTest): [string, string] {
  if (test.kind === "neighbours")
    return ["New photos lie beside one another", `${test.effect.toFixed(1)} times as often as chance has it`];
  if (test.kind === "clusters")
    return ["They fill the clusters otherwise", `${finePercent(test.effect)} of them at least lie elsewhere`];
  if (test.kind === "component")
    return [`Principal component ${test.component ?? ""}`, `shifted by ${test.effect.toFixed(2)} standard deviations`];
  return [
    `${test.class ?? "A class"} is predicted ${test.effect < 0 ? "less" : "more"}`,
    `by ${points(Math.abs(test.effect)).slice(1)} points on average`,
  ];
}

function tests(drift: Drift): HTMLElement | null {
  if (drift.tests.length === 0) return null;
  const loud = significant(drift);
  const rows = h("tbody", {});
  for (const one of drift.tests) {
    const [what, effect] = testWords(one);
    rows.append(
      h(
        "tr",
        { class: loud.includes(one) ? "" : "muted" },
        h("th", { scope: "row" }, what),
        h("td", {}, effect),
        h("td", { class: "num" }, one.p_corrected < 0.001 ? "< 0.001" : one.p_corrected.toFixed(3)),
      ),
    );
  }
  return h(
    "details",
    { class: "tests" },
    h("summary", {}, `All ${plural(drift.tests.length, "test")}`),
    scrollBox(
      "Tests of drift",
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h("tr", {}, ...["Test", "Effect", "p, corrected for all"].map((title) => h("th", { scope: "col" }, title))),
        ),
        rows,
      ),
    ),
  );
}

async function move(image: number | null): Promise<void> {
  await api<Drift>("POST", projectPath(project().name, "/drift/accept"), { body: { reference_image: image } });
  changed("insight");
}

async function accept(drift: Drift): Promise<void> {
  const words = `All ${plural(project().images, "image")} there are now become what later arrivals are compared with, and with the next resample this finding is gone.${drift.verdict === "found" ? " Label some of what is new first, if it is to be learnt." : ""}`;
  if (!(await confirmed("Accept the pool as it is?", words, "Accept"))) return;
  try {
    await move(null);
    toast("Accepted: the next resample compares with the pool as it is now.", { undo: () => void takeBack(drift) });
  } catch (error) {
    report(error);
  }
}

/* The window as it was: until a resample has compared with the new one, nothing is lost. */
async function takeBack(drift: Drift): Promise<void> {
  try {
    await move(drift.reference_image);
  } catch (error) {
    report(error);
  }
}
