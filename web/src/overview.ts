/*
 * The first look: how good the labels are, what the next ones would bring and cost, and what needs a person: labels that
 * look wrong, a pool that has changed. Details are a page each. It also puts the numbers beside the pages' names.
 */
import { api, projectPath } from "./api";
import { h, prose, replace, type Child } from "./dom";
import { count, minutes, money, percent, plural, points } from "./format";
import { loadForecasts, pointValue } from "./forecast_data";
import { usualBudget } from "./forecast_plan";
import { Kept } from "./kept";
import { learningCurve } from "./learning_curve";
import { pageLink, type Pages } from "./pages";
import { Panel } from "./panel";
import { resampleNow } from "./runs";
import { on, project } from "./state";
import type { Drift, Forecast, LabelChecks } from "./types";

interface Answer {
  forecasts: Forecast[];
  checks: LabelChecks;
  drift: Drift;
}

interface Tile {
  path: string;
  title: string;
  value: string;
  words: string;
  look?: string;
}

export class Overview extends Panel {
  private stepping = false; // the first steps are shown: they follow what the project has

  constructor(private readonly pages: () => Pages) {
    super("overview", "At a glance", 3);
    // Room for the chart from the start, where there will be one.
    this.body.classList.toggle("tall", project().labels > 0);
    on("insight", () => void this.refresh());
    on("project", () => {
      if (this.stepping) void this.refresh();
    });
  }

  async refresh(): Promise<void> {
    const base = projectPath(project().name);
    await this.load(
      async (): Promise<Answer> => {
        const [forecasts, checks, drift] = await Promise.all([
          loadForecasts(pointValue()),
          api<LabelChecks>("GET", `${base}/label-checks`, { query: { limit: 1000 } }),
          api<Drift>("GET", `${base}/drift`),
        ]);
        return { forecasts, checks, drift };
      },
      (answer) => this.show(answer),
    );
  }

  private show({ forecasts, checks, drift }: Answer): void {
    const kept = new Kept();
    const open = checks.items.filter((one) => !kept.has(one)).length;
    const suspects = checks.next === null ? count(open) : `${count(open)}+`;
    const pages = this.pages();
    pages.note("label-checks", open > 0 ? suspects : "", `${suspects} look wrong`, "warn");
    pages.note("drift", drift.verdict === "found" && !drift.accepted ? "!" : "", "the pool has changed", "warn");

    const usual = forecasts.find((one) => one.labels_more === usualBudget(forecasts.map((each) => each.labels_more)));
    const known = forecasts.some((one) => one.gain !== null);
    const tiles = [next(usual), wrong(checks, open, suspects), changedPool(drift)];
    this.stepping = !known;
    const started = project().labels > 0 || drift.verdict === "found";
    replace(
      this.body,
      h(
        "div",
        { class: started ? "glance" : "" },
        known ? learningCurve(forecasts, usual?.labels_more) : firstSteps(forecasts[0]),
        started && h("div", { class: "glance-tiles" }, ...tiles.map(tile)),
      ),
    );
  }
}

/* Where the chart will be: the way to it, what is done and what comes next. */
function firstSteps(answer: Forecast | undefined): HTMLElement {
  const { images, labels, published_run: published } = project();
  const steps: [boolean, string, Child][] = [
    [
      images > 0,
      "Photos",
      images > 0
        ? `${plural(images, "image")} in the pool`
        : h("span", {}, ...prose("`gleaner ingest` registers a folder; see below")),
    ],
    [
      published !== null,
      "Resample",
      published !== null ? "clusters and near-duplicates are found" : "finds clusters and near-duplicates",
    ],
    [
      labels > 0,
      "Label a batch",
      labels > 0 ? plural(labels, "label") : "take the first one below: it is chosen for diversity",
    ],
    [
      false,
      "Resample again",
      answer !== undefined && labels > 0
        ? h("span", {}, ...prose(answer.words))
        : "learns from the labels: forecast, label checks, better batches",
    ],
  ];
  const current = steps.findIndex(([done]) => !done);
  const list = h("ol", { class: "steps", "aria-label": "First steps" });
  steps.forEach(([done, title, words], i) => {
    const look = done ? "ready" : i === current ? "current" : "";
    const act = i === current && images > 0 && (i === 1 || i === 3) && resampleNow("primary");
    list.append(
      h(
        "li",
        { class: look, "aria-current": i === current ? "step" : null },
        h("strong", {}, title, done && h("span", { class: "sr" }, " (done)")),
        h("span", { class: "muted" }, words),
        act,
      ),
    );
  });
  return list;
}

function tile({ path, title, value, words, look = "" }: Tile): HTMLElement {
  return pageLink(
    path,
    { class: `glance-tile ${look}` },
    h("span", { class: "tile-title" }, title),
    h("span", { class: "big num" }, value),
    h("span", { class: "muted" }, words),
  );
}

function next(answer: Forecast | undefined): Tile {
  const title = answer === undefined ? "Next labels" : `Next ${plural(answer.labels_more, "label")}`;
  if (answer === undefined || answer.gain === null || answer.low === null || answer.high === null)
    return { path: "forecast", title, value: "–", words: "too few labels to say what they bring" };
  const cost = [
    answer.price > 0 ? money(answer.price, project().currency) : "",
    answer.minutes > 0 ? minutes(answer.minutes) : "",
  ]
    .filter((part) => part !== "")
    .join(", ");
  const worth =
    answer.p_worth === null
      ? "Worth it? Say what a point is worth."
      : `Worth it with a chance of ${percent(answer.p_worth)}.`;
  return {
    path: "forecast",
    title: cost === "" ? title : `${title}: ${cost}`,
    value: `${points(answer.gain)} points`,
    words: `${points(answer.low)} to ${points(answer.high)} in 8 of 10 cases. ${worth}`,
    look: answer.verdict === "worth-it" ? "good" : answer.verdict === "not-worth-it" ? "warn" : "",
  };
}

function wrong(checks: LabelChecks, open: number, suspects: string): Tile {
  const tile = { path: "label-checks", title: "Labels that look wrong" };
  if (checks.run === null || checks.checked === 0) return { ...tile, value: "–", words: "nothing is checked yet" };
  if (open === 0) return { ...tile, value: "0", words: `of ${plural(checks.checked, "checked label")}`, look: "good" };
  return {
    ...tile,
    value: suspects,
    words: `of ${plural(checks.checked, "checked label")}: look and relabel`,
    look: "warn",
  };
}

function changedPool(drift: Drift): Tile {
  const tile = { path: "drift", title: "Drift" };
  if (drift.run === null) return { ...tile, value: "–", words: "nothing to compare yet" };
  if (drift.arrivals === 0) return { ...tile, value: "–", words: "no new photos since the window was set" };
  const arrivals = plural(drift.arrivals ?? 0, "new photo");
  if (drift.accepted) return { ...tile, value: "accepted", words: "the next resample compares with the pool as it is" };
  if (drift.verdict === "found") {
    const top = drift.clusters[0];
    return {
      ...tile,
      value: "found",
      words: `${arrivals} lie elsewhere${top === undefined ? "" : `: cluster ${top.cluster} holds ${percent(top.share_arrivals)} of them`}`,
      look: "warn",
    };
  }
  return drift.verdict === "none"
    ? { ...tile, value: "none", words: `${arrivals} lie as those before`, look: "good" }
    : { ...tile, value: "–", words: `${arrivals}: too few to say` };
}
