/* A grid of images that loads on as it is scrolled (or by a button), through the list's cursor. */
import { api, projectPath, sentence, thumbnailUrl } from "./api";
import { swatch } from "./classes";
import { GRID_KEYS, button, gridStep, h, picture, replace } from "./dom";
import { fileName, percent } from "./format";
import { openImage } from "./image_dialog";
import { project } from "./state";
import type { Image, List } from "./types";

export type ImageFilter = Record<string, string | number | boolean>;

const PAGE = 60;

export function imageWords(image: Image): string {
  const label = image.label !== null ? `${image.label_source === "proposed" ? "proposed and accepted as" : "labelled"} ${image.label}` : image.predicted !== null ? `predicted ${image.predicted.class}` : "no label";
  return `${fileName(image.path)}, ${label}`;
}

export function imageTile(image: Image, onclick: () => void): HTMLElement {
  const name = image.label ?? image.predicted?.class ?? null;
  return h(
    "button",
    { type: "button", class: "tile", title: image.path, "aria-label": imageWords(image), onclick },
    picture(thumbnailUrl(project().name, image.id), ""),
    h(
      "span",
      { class: "tile-words" },
      name !== null && swatch(name, image.label !== null ? "labelled" : "predicted"),
      h("span", { class: "text" }, name ?? fileName(image.path)),
      image.label === null && image.predicted !== null && h("span", { class: "muted num" }, percent(image.predicted.p)),
      image.label_source === "proposed" && h("span", { class: "muted" }, "proposed"),
    ),
  );
}

export class ThumbList {
  readonly element = h("div", { class: "thumb-list" });
  private readonly grid = h("div", { class: "tiles", role: "group", "aria-label": "Images" });
  private readonly foot = h("div", { class: "thumb-foot" });
  private readonly images: Image[] = [];
  private readonly observer: IntersectionObserver;
  private next: string | null = null;
  private busy = false;
  private turn = 0;

  constructor(private filter: ImageFilter) {
    this.element.append(this.grid, this.foot);
    this.observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting) && this.next !== null) void this.more();
    }, { rootMargin: "400px" });
    this.observer.observe(this.foot);
    this.grid.addEventListener("keydown", (event) => {
      if (!GRID_KEYS.includes(event.key)) return;
      const tiles = [...this.grid.children] as HTMLElement[];
      const from = tiles.indexOf(event.target as HTMLElement);
      if (from < 0) return;
      event.preventDefault();
      tiles[gridStep(tiles, from, event.key)]?.focus();
    });
    void this.start(filter);
  }

  async start(filter: ImageFilter): Promise<void> {
    this.turn++;
    this.filter = filter;
    this.images.length = 0;
    this.next = null;
    this.busy = false;
    replace(this.grid);
    await this.more();
  }

  stop(): void {
    this.observer.disconnect();
  }

  private async more(): Promise<void> {
    if (this.busy) return;
    const turn = this.turn;
    this.busy = true;
    replace(this.foot, h("p", { class: "muted", role: "status" }, "Loading…"));
    try {
      const answer = await api<List<Image>>("GET", projectPath(project().name, "/images"), { query: { ...this.filter, limit: PAGE, after: this.next } });
      if (turn !== this.turn) return;
      this.next = answer.next;
      for (const image of answer.items) {
        const index = this.images.push(image) - 1;
        this.grid.append(imageTile(image, () => openImage(image.id, { list: this.images.map((one) => one.id), index })));
      }
      const more = button("Load more", () => void this.more());
      replace(this.foot, this.next !== null ? more : this.images.length === 0 && h("p", { class: "muted" }, "No images here."));
    } catch (error) {
      if (turn === this.turn) replace(this.foot, h("p", { role: "alert", class: "error" }, sentence(error)), button("Try again", () => void this.more()));
    } finally {
      if (turn === this.turn) {
        this.busy = false;
        this.continueWhileVisible();
      }
    }
  }

  /* An observer tells only of changes: a foot that stayed in view after a page asks for the next one here. */
  private continueWhileVisible(): void {
    if (this.next === null || !this.element.isConnected) return;
    if (this.foot.getBoundingClientRect().top < window.innerHeight + 400) requestAnimationFrame(() => void this.more());
  }
}
