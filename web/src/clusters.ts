/* The pool at a glance: one card a cluster, with its medoids, what is labelled, and whether the clustering makes sense. */
import { api, projectPath, thumbnailUrl } from "./api";
import { mixBar, swatch } from "./classes";
import { openCluster } from "./cluster_drawer";
import { GRID_KEYS, gridStep, h, picture, replace } from "./dom";
import { count, mixSegments, percent, plural, verdictTitle } from "./format";
import { Panel, empty } from "./panel";
import { clusterName, editableName } from "./rename";
import { resampleNow } from "./runs";
import { on, project } from "./state";
import type { Cluster, ClusterList } from "./types";

type Order = "size" | "unlabelled" | "name";

const ORDERS: Record<Order, { words: string; before: (a: Cluster, b: Cluster) => number }> = {
  size: { words: "Largest first", before: (a, b) => b.size - a.size },
  unlabelled: { words: "Least labelled first", before: (a, b) => a.labelled / Math.max(1, a.size) - b.labelled / Math.max(1, b.size) || b.size - a.size },
  name: { words: "By name", before: (a, b) => clusterName(a).localeCompare(clusterName(b), "en", { numeric: true }) },
};

export class Clusters extends Panel {
  private answer: ClusterList = { items: [], sanity: null };
  private order: Order = "size";
  private focused = 0;
  private outdated = false;
  private readonly filter: HTMLInputElement;
  private readonly list = h("ul", { class: "cards", "aria-label": "Clusters" });
  private readonly summary = h("span", { class: "muted" });

  constructor() {
    super("clusters", "Clusters", 8);
    this.filter = h("input", { type: "search", placeholder: "Filter by name or class", "aria-label": "Filter clusters by name or class" });
    this.filter.addEventListener("input", () => this.showCards());
    const order = h("select", { "aria-label": "Order of the clusters" });
    for (const [value, { words }] of Object.entries(ORDERS)) order.append(h("option", { value }, words));
    order.addEventListener("change", () => {
      this.order = order.value as Order;
      this.showCards();
    });
    this.title.append(this.summary);
    this.tools.append(this.filter, order);
    this.list.addEventListener("keydown", (event) => this.keydown(event));
    this.list.addEventListener("focusin", (event) => this.focusIn(event));
    this.list.addEventListener("focusout", () => {
      if (this.outdated) window.setTimeout(() => this.showCards());
    });
    on("clusters", () => void this.refresh());
  }

  async refresh(): Promise<void> {
    await this.load(
      () => api<ClusterList>("GET", projectPath(project().name, "/clusters")),
      (answer) => {
        this.answer = answer;
        this.show();
      },
    );
  }

  focus(): void {
    const card = this.list.querySelector<HTMLElement>('.open[tabindex="0"]');
    (card ?? this.element).focus();
    this.element.scrollIntoView({ block: "start" });
  }

  private show(): void {
    const { items, sanity } = this.answer;
    this.tools.hidden = items.length === 0;
    if (items.length === 0) {
      this.summary.textContent = "";
      replace(this.body, this.showEmpty());
      return;
    }
    const images = items.reduce((sum, one) => sum + one.size, 0);
    this.summary.textContent = `${count(items.length)} over ${plural(images, "image")}`;
    const legend = h("ul", { class: "legend", "aria-label": "Colours of the classes" });
    for (const one of project().classes) legend.append(h("li", {}, swatch(one.name), h("span", { class: "text" }, one.name)));
    legend.append(
      h("li", { class: "gap" }, swatch("", "labelled"), "labelled"),
      h("li", {}, swatch("", "predicted"), "predicted"),
      h("li", {}, swatch("", "unknown"), "unknown"),
    );
    replace(
      this.body,
      sanity !== null &&
        h("p", { class: `verdict ${sanity.verdict}` }, h("strong", {}, verdictTitle(sanity.verdict)), h("span", {}, sanity.words)),
      legend,
      this.list,
    );
    this.showCards();
  }

  private showEmpty(): HTMLElement {
    if (project().images === 0) {
      return empty(
        "No images yet",
        h("p", {}, "Register a folder of photos; they stay where they are. Stop the server for it, or start it with --allow-root."),
        h("pre", {}, h("code", {}, `gleaner ingest --data DATA --project ${project().name} PHOTOS`)),
      );
    }
    return empty(
      "Not resampled yet",
      h("p", {}, `${plural(project().images, "image")} wait. Resampling finds near-duplicates and clusters, and predicts classes once there are labels.`),
      resampleNow("primary"),
    );
  }

  private showCards(): void {
    // A name that is being typed is not taken away: the cards are drawn again when it is done.
    this.outdated = this.list.querySelector("input.name") !== null;
    if (this.outdated) return;
    const wanted = this.filter.value.trim().toLowerCase();
    const found = this.answer.items
      .filter((one) => wanted === "" || clusterName(one).toLowerCase().includes(wanted) || one.classes.some((mix) => mix.class.toLowerCase().includes(wanted)))
      .sort(ORDERS[this.order].before);
    const hadFocus = this.list.contains(document.activeElement);
    this.focused = Math.min(this.focused, Math.max(0, found.length - 1));
    replace(this.list, ...found.map((cluster, i) => this.card(cluster, i === this.focused ? 0 : -1)));
    if (found.length === 0) this.list.append(h("li", { class: "none muted" }, `No cluster has “${this.filter.value}” in its name or classes.`));
    if (hadFocus) this.openers()[this.focused]?.focus();
  }

  private card(cluster: Cluster, tabindex: number): HTMLElement {
    const { name } = project();
    const share = cluster.size === 0 ? 0 : cluster.labelled / cluster.size;
    const mosaic = h(
      "button",
      { type: "button", class: `open medoids n${Math.min(3, cluster.medoids.length)}`, tabindex, "aria-label": `Open ${clusterName(cluster)}, ${plural(cluster.size, "image")}, ${percent(share)} labelled`, "aria-keyshortcuts": "Enter F2", onclick: () => openCluster(cluster) },
      ...cluster.medoids.slice(0, 3).map((image) => picture(thumbnailUrl(name, image), "")),
    );
    const top = [...cluster.classes].sort((a, b) => b.labelled + b.predicted - a.labelled - a.predicted);
    const mix = h("ul", { class: "mix-words" });
    for (const one of top.slice(0, 2)) {
      mix.append(h("li", {}, swatch(one.class, one.labelled > 0 ? "labelled" : "predicted"), h("span", { class: "text" }, one.class), h("span", { class: "muted num" }, count(one.labelled + one.predicted))));
    }
    if (top.length === 0) mix.append(h("li", { class: "muted" }, "no labels or predictions"));
    return h(
      "li",
      { class: "card", "data-cluster": cluster.id },
      mosaic,
      h("div", { class: "card-name" }, editableName(cluster, { tabindex })),
      h("p", { class: "card-size muted num" }, `${plural(cluster.size, "image")}, ${percent(share)} labelled`),
      mixBar(mixSegments(cluster.classes, cluster.size), cluster.size),
      mix,
    );
  }

  private openers(): HTMLElement[] {
    return [...this.list.querySelectorAll<HTMLElement>(".open")];
  }

  private focusIn(event: FocusEvent): void {
    const card = (event.target as HTMLElement).closest(".card");
    const openers = this.openers();
    const index = openers.findIndex((one) => one.closest(".card") === card);
    if (index < 0 || index === this.focused) return;
    this.focused = index;
    for (const one of this.list.querySelectorAll<HTMLElement>("[tabindex]")) one.tabIndex = one.closest(".card") === card ? 0 : -1;
  }

  private keydown(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (target instanceof HTMLInputElement) return;
    if (event.key === "F2") {
      event.preventDefault();
      target.closest(".card")?.querySelector<HTMLElement>("button.name")?.click();
      return;
    }
    if (!GRID_KEYS.includes(event.key) || !target.classList.contains("open")) return;
    event.preventDefault();
    const openers = this.openers();
    openers[gridStep(openers, openers.indexOf(target), event.key)]?.focus();
  }
}
