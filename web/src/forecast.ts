/* What the next money would buy: per budget, per class, and whether to go on at all. */
import { className } from "./classes";
import { button, h, prose, replace, scrollBox, svg } from "./dom";
import { count, finePercent, minutes, money, percent, plural, points } from "./format";
import { keepPointValue, loadForecasts, pointValue } from "./forecast_data";
import { pricePerPoint, usualBudget } from "./forecast_plan";
import { learningCurve } from "./learning_curve";
import { PagePanel, empty } from "./panel";
import { resampleNow } from "./runs";
import { project } from "./state";
import type { Forecast, ForecastClass, ForecastVerdict } from "./types";

const VERDICTS: Record<ForecastVerdict, { title: string; look: string }> = {
  "worth-it": { title: "Worth it", look: "good" },
  "not-worth-it": { title: "Not worth it", look: "weak" },
  open: { title: "Worth it?", look: "open" },
  unknown: { title: "Too early to say", look: "open" },
};

const MAX_LABELS = 1_000_000;

export class ForecastPanel extends PagePanel {
  private readonly verdict = h("p", { role: "status" });
  private readonly chart = h("div", {});
  private readonly table = scrollBox("Forecast by budget");
  private readonly details = h("div", { class: "columns" });
  private readonly worth = h("input", {
    type: "number",
    name: "point_value",
    min: 0,
    step: "any",
    inputmode: "decimal",
    placeholder: "not said",
  });
  private readonly more = h("input", {
    type: "number",
    name: "labels",
    min: 1,
    max: MAX_LABELS,
    step: 1,
    inputmode: "numeric",
    placeholder: "number",
  });
  private readonly problem = h("p", { class: "error", role: "alert", hidden: true });
  private readonly form: HTMLFormElement;
  private answers: Forecast[] = [];
  private chosen: number | null = null;
  private extra: number | null = null;

  constructor() {
    super("forecast", "What the next money would buy", 4, "insight");
    this.worth.value = String(pointValue() ?? "");
    this.form = h(
      "form",
      { class: "row ask", novalidate: true, "aria-label": "Ask for a forecast" },
      h(
        "label",
        { class: "field" },
        "A point (1 %) of balanced accuracy is worth",
        this.worth,
        h("span", { class: "unit" }, project().currency),
      ),
      h("label", { class: "field" }, "Ask also for", this.more, h("span", { class: "unit" }, "labels")),
      h("button", { type: "submit" }, "Ask"),
      this.problem,
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    for (const input of [this.worth, this.more]) input.addEventListener("change", () => this.ask());
  }

  async refresh(): Promise<void> {
    await this.load(
      () => loadForecasts(pointValue(), this.extra),
      (answers) => this.show(answers),
    );
  }

  private ask(): void {
    for (const input of [this.worth, this.more]) {
      this.problem.hidden = input.validity.valid && !(input === this.worth && input.valueAsNumber === 0);
      if (this.problem.hidden) continue;
      this.problem.textContent =
        input === this.worth
          ? "What a point is worth is an amount above 0."
          : `Labels are a whole number from 1 to ${count(MAX_LABELS)}.`;
      return;
    }
    const extra = this.more.value === "" ? null : this.more.valueAsNumber;
    const worth = this.worth.value === "" ? null : this.worth.valueAsNumber;
    if (extra === this.extra && worth === pointValue()) return;
    keepPointValue(worth);
    if (extra !== this.extra) this.chosen = extra;
    this.extra = extra;
    void this.refresh();
  }

  private show(answers: Forecast[]): void {
    this.answers = answers;
    const known = answers.filter((one) => one.gain !== null);
    if (known.length === 0) {
      replace(this.body, nothingToSay(answers[0]));
      return;
    }
    if (!answers.some((one) => one.labels_more === this.chosen))
      this.chosen = usualBudget(answers.map((one) => one.labels_more)) ?? null;
    const focused = this.table.contains(document.activeElement);
    replace(this.table, this.budgetTable());
    if (this.verdict.parentElement !== this.body) {
      replace(this.body, this.verdict, this.chart, this.form, this.table, this.details);
    }
    if (focused) this.table.querySelector<HTMLElement>("input:checked")?.focus();
    this.showChosen();
  }

  private showChosen(): void {
    const answer = this.answers.find((one) => one.labels_more === this.chosen) ?? this.answers[0];
    if (answer === undefined) return;
    const { title, look } = VERDICTS[answer.verdict];
    this.verdict.className = `verdict ${look}`;
    replace(this.verdict, h("strong", {}, title), h("span", {}, answer.words));
    replace(this.chart, learningCurve(this.answers, answer.labels_more));
    replace(this.details, perClass(answer), otherChecks(answer));
    for (const row of this.table.querySelectorAll("tr[data-labels]"))
      row.classList.toggle("chosen", row.getAttribute("data-labels") === String(answer.labels_more));
  }

  private budgetTable(): HTMLElement {
    const { currency } = project();
    const told = this.answers.some((one) => one.p_worth !== null);
    const rows = h("tbody", {});
    for (const one of this.answers) {
      const choose = h("input", {
        type: "radio",
        name: "budget",
        value: one.labels_more,
        checked: one.labels_more === this.chosen,
        "aria-label": `${count(one.labels_more)} labels`,
      });
      choose.addEventListener("change", () => {
        this.chosen = one.labels_more;
        this.showChosen();
      });
      const perPoint = pricePerPoint(one.price, one.gain);
      const cells = [
        one.price > 0 ? money(one.price, currency) : "–",
        minutes(one.minutes),
        one.gain === null ? "–" : `${points(one.gain)} points`,
        one.low === null || one.high === null ? "–" : `${points(one.low)} to ${points(one.high)}`,
        perPoint === null ? "–" : money(perPoint, currency),
        one.p_worth === null ? "–" : percent(one.p_worth),
      ];
      rows.append(
        h(
          "tr",
          { "data-labels": one.labels_more },
          h("th", { scope: "row" }, h("label", { class: "pick num" }, choose, count(one.labels_more))),
          ...cells.map((text) => h("td", { class: "num" }, text)),
        ),
      );
    }
    const heads = [
      "Labels",
      "Cost",
      "Time",
      "Expected gain",
      "In 8 of 10 cases",
      "Price of a point",
      "Chance it is worth it",
    ];
    const table = h(
      "table",
      { class: "budgets" },
      h("caption", { class: "sr" }, "Forecast by budget"),
      h(
        "thead",
        {},
        h("tr", {}, ...heads.map((title, i) => h("th", { scope: "col", class: i > 0 ? "num" : "" }, title))),
      ),
      rows,
    );
    const hint = told
      ? null
      : h(
          "p",
          { class: "muted" },
          "Say above what a point is worth to you, and the last column gives the chance that each budget pays.",
        );
    return h("div", {}, table, hint);
  }
}

/* No classifier, or too few labels: the server's reason, and what to do about it. */
function nothingToSay(answer: Forecast | undefined): HTMLElement {
  const { images, labels, published_run: published } = project();
  const state = empty("Too early for a forecast", answer !== undefined && h("p", {}, ...prose(answer.words)));
  if (images === 0) state.append(h("p", {}, ...prose("First the pool needs images: `gleaner ingest`.")));
  else if (labels === 0)
    state.append(
      h("p", {}, "Take a first batch and label it, then resample: the learning curve comes from your own labels."),
    );
  else state.append(h("p", {}, "Label another batch, then resample."));
  if (images > 0)
    state.append(
      published === null || labels > 0
        ? resampleNow(published === null ? "primary" : "")
        : button("Go to the batch", () => (location.hash = "#/"), { class: "primary" }),
    );
  return state;
}

/* Interval and expected gain of a class as a small picture: a line from low to high, a dot, a tick at "no change". */
function gainBar(one: ForecastClass, widest: number): SVGSVGElement {
  const at = (share: number | null): number => 50 + ((share ?? 0) / widest) * 48;
  return svg(
    "svg",
    { class: "gain-bar", "aria-hidden": "true" },
    svg("rect", { class: "zero", x: "50%", y: 0, width: 1, height: 14 }),
    svg("rect", {
      class: "interval",
      x: `${at(one.low)}%`,
      y: 5,
      width: `${at(one.high) - at(one.low)}%`,
      height: 4,
      rx: 2,
    }),
    svg("circle", { class: "dot", cx: `${at(one.gain)}%`, cy: 7, r: 4 }),
  );
}

function perClass(answer: Forecast): HTMLElement {
  const known = answer.classes.filter((one) => one.gain !== null);
  const widest = Math.max(0.01, ...known.flatMap((one) => [Math.abs(one.low ?? 0), Math.abs(one.high ?? 0)]));
  const rows = h("tbody", {});
  for (const one of answer.classes) {
    const told = one.accuracy !== null && one.gain !== null && one.low !== null && one.high !== null;
    rows.append(
      h(
        "tr",
        {},
        h("th", { scope: "row" }, className(one.class)),
        ...(told
          ? [
              h("td", { class: "num" }, percent(one.accuracy!)),
              h("td", { class: "num" }, points(one.gain!)),
              h("td", { class: "num muted" }, `${points(one.low!)} to ${points(one.high!)}`),
              h("td", { class: "gain-cell" }, gainBar(one, widest)),
            ]
          : [h("td", { class: "muted", colspan: 4 }, "too few labels of this class")]),
      ),
    );
  }
  const heads = ["Class", "Recognised", "Gain", "In 8 of 10 cases", ""];
  return h(
    "section",
    {},
    h("h3", {}, `By class, for ${plural(answer.labels_more, "more label")}`),
    scrollBox(
      "Forecast by class",
      h(
        "table",
        { class: "per-class" },
        h(
          "thead",
          {},
          h("tr", {}, ...heads.map((title, i) => h("th", { scope: "col", class: i > 0 && i < 4 ? "num" : "" }, title))),
        ),
        rows,
      ),
    ),
  );
}

/* The audit arm, and how much successive models agree. */
function otherChecks(answer: Forecast): HTMLElement {
  const { agreements, audit } = answer;
  const list = h("ul", { class: "agreements" });
  for (const one of agreements)
    list.append(
      h(
        "li",
        {},
        h("span", { class: "num" }, one.kappa.toFixed(3)),
        h("span", { class: "muted" }, `with ${plural(one.labels, "label")}, on ${plural(one.images, "image")}`),
      ),
    );
  return h(
    "section",
    {},
    h("h3", {}, "Random audit"),
    audit === null
      ? h(
          "p",
          { class: "muted" },
          "No label of an audit arm yet. Batches draw 5 % at random for it, unless told otherwise.",
        )
      : h(
          "p",
          {},
          `${finePercent(audit.accuracy)} of unlabelled images are predicted right (9 of 10 cases: ${finePercent(audit.low)} to ${finePercent(audit.high)}), from ${plural(audit.images, "random image")}.`,
        ),
    h("h3", {}, "Agreement with the model before"),
    agreements.length === 0 ? h("p", { class: "muted" }, "After the second resample with labels.") : list,
    agreements.length > 0 &&
      h(
        "p",
        { class: "muted" },
        "Cohen's kappa on images without a label: 1 is the same everywhere. Three in a row at 0.99 or more: more of the same labels change little.",
      ),
  );
}
