/*
 * Where a batch gets its labels: one image large, with its reason and the classes; beside it the whole batch. Number
 * keys pick a class and move on. Picks stay in the browser until they are returned, also over a reload.
 */
import { thumbnailUrl } from "./api";
import { className, confidence, swatch } from "./classes";
import { GRID_KEYS, button, gridStep, h, picture, replace } from "./dom";
import { fileName } from "./format";
import { openImage } from "./image_dialog";
import { isTyping } from "./keys";
import { Attention, Labelling, type Pick } from "./labelling";
import { may, project } from "./state";
import type { Batch, BatchItem } from "./types";

export interface PickedLabel {
  image: number;
  class: string;
  seconds: number;
}

const ARMS: Record<string, string> = {
  quota: "Fills the quota of a class",
  explore: "Explores what labels do not cover yet",
  audit: "Drawn at random, to estimate accuracy honestly",
  proposal: "Drawn at random from images that a label is proposed for: the audit of it",
  check: "A second look at a label that looks wrong",
};

function storageKey(batch: number): string {
  return `gleaner.picks.${project().id}.${batch}`;
}

export function forgetPicks(batch: number): void {
  try {
    localStorage.removeItem(storageKey(batch));
  } catch {
    // Storage is off: nothing was kept.
  }
}

function storedPicks(batch: number): [number, Pick][] {
  try {
    const known = new Set(project().classes.map((one) => one.name));
    const stored = JSON.parse(localStorage.getItem(storageKey(batch)) ?? "[]") as unknown;
    if (!Array.isArray(stored)) return [];
    return (stored as [number, Pick][]).filter((entry) => Array.isArray(entry) && known.has(entry[1]?.class) && Number.isFinite(entry[1].seconds));
  } catch {
    return [];
  }
}

export class Bench {
  readonly element: HTMLElement;
  private readonly items: readonly BatchItem[];
  private readonly done: Set<number>;
  private readonly labelling: Labelling;
  private readonly attention = new Attention(performance.now());
  private readonly grid = h("div", { class: "bench-grid", role: "listbox", "aria-label": "Images of the batch" });
  private readonly stage = h("div", { class: "stage" });
  private readonly classes = h("div", { class: "class-keys", role: "group", "aria-label": "Pick a class" });
  private readonly find = h("input", { type: "search", placeholder: "Find a class", "aria-label": "Find a class; Enter picks the first", "aria-keyshortcuts": "/" });
  private tiles: HTMLElement[] = [];
  private sending = false;

  constructor(
    private readonly batch: Batch,
    private readonly changed: () => void,
  ) {
    this.items = [...(batch.items ?? [])].sort((a, b) => a.position - b.position);
    this.done = new Set(this.items.filter((item) => item.state !== "leased").map((item) => item.image));
    this.labelling = new Labelling(this.items.map((item) => item.image), this.done);
    this.labelling.restore(storedPicks(batch.id));

    this.tiles = this.items.map((item, i) => this.tile(item, i));
    replace(this.grid, ...this.tiles);
    const hint = h("p", { class: "hint muted" });
    for (const [key, words] of [["1–9", "pick"], ["← →", "move"], ["P", "as predicted"], ["U", "undo"], ["⇧ Enter", "return"]] as const) {
      hint.append(h("span", {}, h("kbd", {}, key), words));
    }
    this.find.hidden = project().classes.length <= 9;
    this.find.addEventListener("input", () => this.showClasses());
    const side = h("div", { class: "bench-side" }, this.stage, this.find, this.classes);
    this.element = h("div", { class: "bench" }, side, h("div", { class: "bench-main" }, this.grid, hint));
    this.element.addEventListener("keydown", (event) => this.keydown(event));
    document.addEventListener("visibilitychange", this.visibility);
    this.update();
  }

  stop(): void {
    document.removeEventListener("visibilitychange", this.visibility);
  }

  get picked(): number {
    return this.labelling.picks.size;
  }

  labels(): PickedLabel[] {
    return [...this.labelling.picks].map(([image, pick]) => ({ image, class: pick.class, seconds: pick.seconds }));
  }

  /* Whether the server's answer differs from what is shown only in what this page does not draw. */
  sameItems(batch: Batch): boolean {
    const items = batch.items ?? [];
    return items.length === this.items.length && items.every((item) => (item.state !== "leased") === this.done.has(item.image) && this.labelOf(item.image) === item.label);
  }

  /* While labels are on their way nothing is picked. */
  busy(on: boolean): void {
    this.sending = on;
    this.element.setAttribute("aria-busy", String(on));
  }

  /* The server took these: they are no longer picks but labels. */
  sent(images: readonly number[]): void {
    for (const image of images) {
      const item = this.items.find((one) => one.image === image);
      const pick = this.labelling.picks.get(image);
      if (item !== undefined && pick !== undefined) {
        item.label = pick.class;
        item.state = "labelled";
      }
      this.labelling.picks.delete(image);
      this.done.add(image);
    }
    this.keep();
    this.update();
  }

  focus(): void {
    this.tiles[this.labelling.index]?.focus({ preventScroll: false });
  }

  private labelOf(image: number): string | null {
    return this.items.find((item) => item.image === image)?.label ?? null;
  }

  private readonly visibility = (): void => {
    if (document.hidden) this.attention.pause(performance.now());
    else this.attention.resume(performance.now());
  };

  private tile(item: BatchItem, index: number): HTMLElement {
    const tile = h(
      "div",
      { class: "item", role: "option", tabindex: -1, "data-image": item.image, onclick: () => this.go(index), ondblclick: () => openImage(item.image, { list: this.labelling.images, index }) },
      picture(thumbnailUrl(project().name, item.image), ""),
      h("span", { class: `badge arm ${item.arm}`, title: ARMS[item.arm] ?? "" }, item.arm),
      h("span", { class: "item-words" }),
    );
    tile.addEventListener("focus", () => {
      if (this.labelling.index !== index) this.go(index, false);
    });
    return tile;
  }

  private go(index: number, focus = true): void {
    this.labelling.move(index);
    this.attention.take(performance.now());
    this.update();
    if (focus) this.focus();
  }

  private pick(name: string): void {
    if (!may("annotator") || this.sending) return;
    if (!this.labelling.pick(name, this.attention.take(performance.now()))) return;
    this.find.value = "";
    this.keep();
    this.update();
    this.focus();
  }

  private keep(): void {
    try {
      if (this.labelling.picks.size === 0) forgetPicks(this.batch.id);
      else localStorage.setItem(storageKey(this.batch.id), JSON.stringify([...this.labelling.picks]));
    } catch {
      // Storage is off or full: the picks last as long as the page.
    }
  }

  private keydown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === this.find) {
      if (event.key === "Enter") this.classes.querySelector<HTMLButtonElement>("button:not([hidden])")?.click();
      else if (event.key === "Escape") this.focus();
      else return;
      event.preventDefault();
      return;
    }
    if (isTyping(event.target)) return;
    const inGrid = this.grid.contains(event.target as Node);
    const digit = /^[1-9]$/.test(event.key) ? project().classes[Number(event.key) - 1] : undefined;
    const item = this.items[this.labelling.index];
    if (digit !== undefined) this.pick(digit.name);
    else if (inGrid && GRID_KEYS.includes(event.key)) this.go(gridStep(this.tiles, this.labelling.index, event.key));
    else if (event.key === "u" || event.key === "U") this.undo();
    else if (event.key === "p" || event.key === "P") {
      // Without a prediction the key does nothing here, rather than what it does on the page.
      if (item?.predicted != null) this.pick(item.predicted.class);
    } else if (event.key === "Backspace" || event.key === "Delete") this.clear();
    else if (event.key === "/" && !this.find.hidden) this.find.focus();
    else if (inGrid && event.key === "Enter" && !event.shiftKey && item !== undefined) openImage(item.image, { list: this.labelling.images, index: this.labelling.index });
    else return;
    event.preventDefault();
  }

  private undo(): void {
    if (this.sending || !this.labelling.undo()) return;
    this.keep();
    this.update();
    this.focus();
  }

  private clear(): void {
    if (this.sending || !this.labelling.clear()) return;
    this.keep();
    this.update();
  }

  private update(): void {
    this.items.forEach((item, i) => this.updateTile(item, i));
    this.showStage();
    this.showClasses();
    this.changed();
  }

  private updateTile(item: BatchItem, index: number): void {
    const tile = this.tiles[index]!;
    const here = index === this.labelling.index;
    const pick = this.labelling.picks.get(item.image);
    const done = this.done.has(item.image);
    const name = done ? item.label : (pick?.class ?? null);
    const words = done ? `returned as ${item.label ?? "nothing"}` : pick !== undefined ? `picked ${pick.class}` : item.predicted !== null ? `predicted ${item.predicted.class}` : item.label !== null ? `labelled ${item.label}` : "no prediction";
    tile.tabIndex = here ? 0 : -1;
    tile.setAttribute("aria-selected", String(here));
    tile.setAttribute("aria-label", `${index + 1}: ${fileName(item.path)}, ${item.arm}, ${words}`);
    tile.className = `item${done ? " returned" : pick !== undefined ? " picked" : ""}`;
    const guessed = name === null && item.predicted !== null;
    const shown = name ?? item.predicted?.class ?? item.label; // a second look is at a label
    replace(
      tile.querySelector(".item-words")!,
      shown !== null && swatch(shown, guessed ? "predicted" : "labelled"),
      h("span", { class: name !== null ? "text" : "text muted" }, shown ?? "–"),
      guessed && item.predicted !== null && h("span", { class: "muted num" }, confidence(item.predicted.p)),
    );
  }

  private showStage(): void {
    const item = this.items[this.labelling.index];
    if (item === undefined) {
      replace(this.stage, h("p", { class: "muted" }, "This batch has no images."));
      return;
    }
    const guess = item.predicted;
    replace(
      this.stage,
      h(
        "div",
        { class: "stage-picture" },
        picture(thumbnailUrl(project().name, item.image), fileName(item.path), { loading: "eager" }),
        h("span", { class: `badge arm ${item.arm}`, title: ARMS[item.arm] ?? "" }, item.arm),
        button("Details", () => openImage(item.image, { list: this.labelling.images, index: this.labelling.index }), { class: "quiet details", title: "Original, history, similar images (Enter)" }),
      ),
      h("p", { class: "stage-head" }, h("span", { class: "text", title: item.path }, fileName(item.path)), h("span", { class: "muted num" }, `${this.labelling.index + 1} of ${this.items.length}`)),
      guess !== null &&
        h("p", { class: "guess" }, className(guess.class, confidence(guess.p)), guess.runner_up !== null && h("span", { class: "muted" }, `then ${guess.runner_up} ${confidence(guess.p_runner_up)}`)),
      h("p", { class: "reason muted" }, item.reason),
    );
  }

  private showClasses(): void {
    const item = this.items[this.labelling.index];
    const wanted = this.find.value.trim().toLowerCase();
    const open = item !== undefined && this.labelling.isOpen(item.image) && may("annotator");
    const chosen = item === undefined ? null : (this.labelling.picks.get(item.image)?.class ?? item.label);
    replace(this.classes);
    project().classes.forEach((one, i) => {
      if (wanted !== "" && !one.name.toLowerCase().includes(wanted)) return;
      const pick = h(
        "button",
        { type: "button", class: "class-key", "aria-pressed": String(one.name === chosen), disabled: !open, onclick: () => this.pick(one.name) },
        i < 9 && h("kbd", { "aria-hidden": "true" }, i + 1),
        className(one.name),
        item?.predicted?.class === one.name && h("span", { class: "muted num" }, confidence(item.predicted.p)),
      );
      if (i < 9) pick.setAttribute("aria-keyshortcuts", String(i + 1));
      this.classes.append(pick);
    });
  }
}
