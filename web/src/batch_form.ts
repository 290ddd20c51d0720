/* Asking for a batch: how much (images, money or minutes), which classes, how much of it to explore and to look at again. */
import { Problem, api, freshKey, projectPath, sentence } from "./api";
import { className } from "./classes";
import { button, h, replace } from "./dom";
import { effectiveTargets, minutes, money, percent } from "./format";
import { guard, project, type Named } from "./state";
import type { Batch, BatchRequest } from "./types";

type Measure = "size" | "max_price" | "max_minutes";

const MEASURES: Record<Measure, { words: string; unit: () => string; initial: string; step: string }> = {
  size: { words: "Images", unit: () => "images", initial: "50", step: "1" },
  max_price: { words: "Money", unit: () => project().currency, initial: "10", step: "0.01" },
  max_minutes: { words: "Minutes", unit: () => "minutes", initial: "30", step: "1" },
};

/* Second looks: what is asked for, and in words. */
const LOOKS = [
  ["off", "none"],
  ["auto", "auto"],
  ...[10, 20, 30, 50, 100].map((share) => [String(share / 100), `${share} %`] as const),
] as const;

export class BatchForm {
  readonly element: HTMLFormElement;
  private readonly amount = h("input", { type: "number", name: "amount", min: 0, required: true, inputmode: "decimal" });
  private readonly unit = h("span", { class: "unit" });
  private readonly guess = h("p", { class: "muted", "aria-live": "polite" });
  private readonly explore = h("input", { type: "number", name: "explore_share", min: 0, max: 100, step: 1, placeholder: "auto" });
  private readonly audit = h("input", { type: "number", name: "audit_share", min: 0, max: 100, step: 1, value: 5 });
  private readonly looks = h("select", { name: "relabel" }, ...LOOKS.map(([value, words]) => h("option", { value }, words)));
  private readonly hours = h("input", { type: "number", name: "lease_hours", min: 1, max: 720, step: 1, value: 24 });
  private readonly targets = new Map<string, HTMLInputElement>();
  private readonly sum = h("p", { class: "muted", "aria-live": "polite" });
  private readonly problem = h("p", { class: "error", role: "alert", hidden: true });
  private readonly submit = guard(h("button", { type: "submit", class: "primary" }, "Take batch"), "lead");
  private measure: Measure = "size";
  private key = freshKey();

  /* cluster: the only one to choose from, or null for the whole pool. cancel: back to what was there, where there is something. */
  constructor(
    private readonly taken: (batch: Batch) => void,
    private cluster: Named | null = null,
    cancel: (() => void) | null = null,
  ) {
    const only = h("p", { class: "only" });
    if (cluster !== null) {
      const whole = button("From the whole pool instead", () => {
        this.cluster = null;
        this.key = freshKey();
        only.remove();
        this.focus();
      }, { class: "link" });
      only.append(h("span", {}, "Only from ", h("strong", {}, cluster.name), ". "), whole);
    }
    this.element = h(
      "form",
      { class: "batch-form", novalidate: true, "aria-label": "Take a batch" },
      cluster !== null && only,
      h("div", { class: "form-main" }, this.measureField(), this.shareFields(), h("div", { class: "row" }, this.submit, cancel !== null && button("Cancel", cancel), this.guess)),
      h("p", { class: "form-hint muted" }, "Explore goes to what labels do not cover yet (auto: as much as predictions cannot be trusted with), audit is drawn at random so that accuracy can be estimated honestly, second looks go to labels that look wrong (auto: where they are worth more than new ones); the rest fills the classes. What is not labelled when the lease ends is free again."),
      this.targetFields(),
      this.problem,
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.take();
    });
    this.element.addEventListener("input", () => {
      this.key = freshKey();
      this.update();
    });
    this.choose("size");
  }

  focus(): void {
    this.amount.focus();
    this.amount.select();
  }

  private measureField(): HTMLElement {
    const choices = h("div", { class: "segmented", role: "radiogroup", "aria-label": "Measured in" });
    for (const [value, { words }] of Object.entries(MEASURES)) {
      const radio = h("input", { type: "radio", name: "measure", value, checked: value === "size" });
      radio.addEventListener("change", () => this.choose(value as Measure));
      choices.append(h("label", {}, radio, h("span", {}, words)));
    }
    return h("div", { class: "form-group", role: "group", "aria-label": "How much" }, h("span", { class: "caption", "aria-hidden": "true" }, "How much"), h("div", { class: "row" }, choices, h("label", { class: "field" }, h("span", { class: "sr" }, "Amount"), this.amount, this.unit)));
  }

  private shareFields(): HTMLElement {
    const field = (words: string, input: HTMLElement, unit = ""): HTMLElement =>
      h("label", { class: "field" }, h("span", {}, words), input, unit !== "" && h("span", { class: "unit" }, unit));
    return h(
      "div",
      { class: "form-group shares", role: "group", "aria-label": "Of which" },
      h("span", { class: "caption", "aria-hidden": "true" }, "Of which"),
      h("div", { class: "row" }, field("explore", this.explore, "%"), field("audit", this.audit, "%"), field("second looks", this.looks), field("leased for", this.hours, "hours")),
    );
  }

  private targetFields(): HTMLElement {
    const { classes } = project();
    const usual = effectiveTargets(classes.map((one) => one.target_share));
    const grid = h("div", { class: "targets" });
    classes.forEach((one, i) => {
      const input = h("input", { type: "number", min: 0, max: 100, step: 1, placeholder: Math.round((usual[i] ?? 0) * 100), "aria-label": `Target share of ${one.name} in percent` });
      this.targets.set(one.name, input);
      grid.append(h("label", { class: "field" }, className(one.name), input, h("span", { class: "unit" }, "%")));
    });
    return h("details", { class: "target-box" }, h("summary", {}, "Targets per class"), h("p", { class: "muted" }, "Wanted shares of all labels after this batch. Left empty: the project's targets."), grid, this.sum);
  }

  private choose(measure: Measure): void {
    this.measure = measure;
    this.amount.value = MEASURES[measure].initial;
    this.amount.step = MEASURES[measure].step;
    this.unit.textContent = MEASURES[measure].unit();
    this.update();
  }

  private named(): Record<string, number> {
    const named: Record<string, number> = {};
    for (const [name, input] of this.targets) if (input.value.trim() !== "") named[name] = input.valueAsNumber / 100;
    return named;
  }

  private update(): void {
    const { classes, currency } = project();
    const mean = (pick: (one: (typeof classes)[number]) => number): number => (classes.length === 0 ? 0 : classes.reduce((sum, one) => sum + pick(one), 0) / classes.length);
    const price = mean((one) => one.price);
    const seconds = mean((one) => one.seconds);
    const n = this.amount.valueAsNumber;
    let words = "";
    if (this.measure === "size" && n > 0) {
      const parts = [price > 0 ? money(n * price, currency) : "", seconds > 0 ? minutes((n * seconds) / 60) : ""].filter((part) => part !== "");
      if (parts.length > 0) words = `about ${parts.join(", ")}`;
    } else if (this.measure === "max_price" && price > 0 && n > 0) words = `about ${Math.floor(n / price)} images`;
    else if (this.measure === "max_minutes" && seconds > 0 && n > 0) words = `about ${Math.floor((n * 60) / seconds)} images`;
    this.guess.textContent = words;
    const shares = Object.values(this.named());
    const total = shares.reduce((sum, share) => sum + share, 0);
    this.sum.textContent =
      shares.length === 0 ? "" : total > 1.000001 ? `The shares add up to ${percent(total)}: at most 100 %.` : shares.length < this.targets.size ? `${percent(1 - total)} is left for the other classes, equally.` : `The shares add up to ${percent(total)}.`;
    this.sum.classList.toggle("error", total > 1.000001);
  }

  private fail(words: string, field: HTMLElement | null): void {
    this.problem.textContent = words;
    this.problem.hidden = false;
    field?.focus();
  }

  private async take(): Promise<void> {
    this.problem.hidden = true;
    const amount = this.amount.valueAsNumber;
    if (!(amount > 0) || (this.measure === "size" && !Number.isInteger(amount))) {
      this.fail(this.measure === "size" ? "Give a whole number of images, at least 1." : "Give an amount above 0.", this.amount);
      return;
    }
    const request: BatchRequest = { [this.measure]: amount };
    for (const [name, input, scale] of [["explore_share", this.explore, 100], ["audit_share", this.audit, 100], ["lease_hours", this.hours, 1]] as const) {
      if (input.value.trim() === "") continue;
      if (!input.validity.valid) {
        this.fail(input.validationMessage, input);
        return;
      }
      request[name] = input.valueAsNumber / scale;
    }
    const looks = this.looks.value;
    if (looks !== "off") request.relabel = looks === "auto" ? looks : Number(looks);
    if (this.cluster !== null) request.cluster = this.cluster.id;
    const targets = this.named();
    if (Object.keys(targets).length > 0) request.targets = targets;

    const words = this.submit.textContent ?? "";
    this.submit.disabled = true;
    replace(this.submit, "Choosing…");
    try {
      const batch = await api<Batch>("POST", projectPath(project().name, "/batches"), { body: request, headers: { "Idempotency-Key": this.key } });
      this.key = freshKey();
      this.taken(batch);
    } catch (error) {
      const pointer = error instanceof Problem ? (error.pointer ?? "") : "";
      const name = pointer.split("/")[1] ?? "";
      const field = this.element.querySelector<HTMLElement>(name in MEASURES ? '[name="amount"]' : `[name="${CSS.escape(name)}"]`);
      this.fail(sentence(error), field);
    } finally {
      this.submit.disabled = false;
      replace(this.submit, words);
    }
  }
}
