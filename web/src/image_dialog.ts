/* One image: large, with its label and history, what the classifier thinks, and its neighbours. */
import { api, originalUrl, projectPath, sentence, thumbnailUrl } from "./api";
import { className, confidence } from "./classes";
import { openDialog } from "./dialog";
import { button, h, picture, replace, type Child } from "./dom";
import { ago, bytes, fileName, plural } from "./format";
import { failure } from "./panel";
import { relabel } from "./relabel";
import { may, project } from "./state";
import { imageTile } from "./thumb_list";
import { report } from "./toast";
import type { ImageDetail, Similar } from "./types";

export interface Among {
  list: readonly number[];
  index: number;
}

export function openImage(id: number, among: Among = { list: [id], index: 0 }): void {
  new ImageDialog(id, among);
}

class ImageDialog {
  private readonly title = h("h2", { class: "path" });
  private readonly back: HTMLButtonElement;
  private readonly dialog;
  private readonly trail: number[] = [];
  private original = false;
  private turn = 0;

  constructor(
    private id: number,
    private readonly among: Among,
  ) {
    this.back = button("Back", () => this.goBack(), { class: "quiet", "aria-keyshortcuts": "Backspace" });
    this.dialog = openDialog(this.title, {
      class: "image-dialog",
      label: "Image",
      actions: [
        this.back,
        button("‹", () => this.step(-1), { class: "quiet", "aria-label": "Previous image", title: "Previous (←)" }),
        button("›", () => this.step(1), { class: "quiet", "aria-label": "Next image", title: "Next (→)" }),
      ],
    });
    this.dialog.element.addEventListener("keydown", (event) => this.keydown(event));
    void this.show();
  }

  private keydown(event: KeyboardEvent): void {
    const target = event.target;
    if (target instanceof HTMLSelectElement || target instanceof HTMLInputElement) return;
    if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "Backspace") this.goBack();
    else if (event.key === "o") this.toggleOriginal();
    else return;
    event.preventDefault();
  }

  private step(by: number): void {
    const next = this.among.list[this.among.index + by];
    if (next === undefined) return;
    this.among.index += by;
    this.trail.length = 0;
    this.id = next;
    void this.show();
  }

  private visit(id: number): void {
    this.trail.push(this.id);
    this.id = id;
    void this.show();
  }

  private goBack(): void {
    const id = this.trail.pop();
    if (id === undefined) return;
    this.id = id;
    void this.show();
  }

  private toggleOriginal(): void {
    this.original = !this.original;
    void this.show();
  }

  private async show(): Promise<void> {
    const turn = ++this.turn;
    const path = projectPath(project().name, `/images/${this.id}`);
    this.back.hidden = this.trail.length === 0;
    try {
      const image = await api<ImageDetail>("GET", path);
      if (turn !== this.turn) return;
      this.fill(image);
      const similar = await api<{ items: Similar[] }>("GET", `${path}/similar`, { query: { k: 12 } });
      if (turn === this.turn) this.fillSimilar(similar.items);
    } catch (error) {
      if (turn !== this.turn) return;
      const strip = this.dialog.body.querySelector(".similar-strip");
      if (strip !== null) replace(strip, h("p", { class: "muted" }, sentence(error)));
      else replace(this.dialog.body, failure(error, () => void this.show()));
    }
  }

  private fill(image: ImageDetail): void {
    const { name } = project();
    this.title.textContent = fileName(image.path);
    this.title.title = image.path;
    const facts: [string, Child][] = [
      ["Label", image.label === null ? h("span", { class: "muted" }, "none") : className(image.label)],
      ["Predicted", this.prediction(image)],
      ["Found at", h("span", { class: "path" }, image.path)],
      ["Picture", `${image.width} × ${image.height}, ${image.format}, ${bytes(image.bytes)}`],
    ];
    if (image.names_count > 1) facts.push(["Also at", h("span", { class: "path" }, image.names.filter((one) => one !== image.path).join("\n"))]);
    if (image.duplicate_of !== null) {
      const other = image.duplicate_of;
      facts.push(["Near-duplicate", button(`of image ${other}`, () => this.visit(other), { class: "link" })]);
    }
    if (image.cluster !== null) facts.push(["Cluster", String(image.cluster)]);
    if (image.batch !== null) facts.push(["In batch", String(image.batch)]);
    const list = h("dl", { class: "fact-list" });
    for (const [term, words] of facts) list.append(h("div", {}, h("dt", {}, term), h("dd", {}, words)));

    replace(
      this.dialog.body,
      h(
        "div",
        { class: "image-columns" },
        h(
          "figure",
          {},
          picture(this.original ? originalUrl(name, image.id) : thumbnailUrl(name, image.id), fileName(image.path), { loading: "eager" }),
          h("figcaption", {}, button(this.original ? "Show thumbnail" : "Show original", () => this.toggleOriginal(), { class: "quiet", "aria-keyshortcuts": "o" })),
        ),
        h("div", { class: "image-facts" }, list, this.labelForm(image), this.history(image)),
      ),
      h("h3", {}, "Most similar"),
      h("div", { class: "similar-strip" }, h("p", { class: "muted", role: "status" }, "Loading…")),
    );
  }

  private prediction(image: ImageDetail): Child {
    const guess = image.predicted;
    if (guess === null) return h("span", { class: "muted" }, "no classifier yet");
    return h(
      "span",
      {},
      className(guess.class, confidence(guess.p)),
      guess.runner_up !== null && h("span", { class: "muted" }, `, then ${guess.runner_up} ${confidence(guess.p_runner_up)}`),
    );
  }

  private labelForm(image: ImageDetail): HTMLElement | null {
    if (!may("annotator")) return null;
    const select = h("select", { "aria-label": "Class" });
    for (const one of project().classes) select.append(h("option", { value: one.name }, one.name));
    select.value = image.label ?? image.predicted?.class ?? project().classes[0]?.name ?? "";
    const set = button("Set label", () => void this.label(image, select.value));
    return h(
      "div",
      { class: "row" },
      select,
      set,
      image.label !== null && button("Retract", () => void this.label(image, null), { class: "quiet" }),
    );
  }

  private async label(image: ImageDetail, name: string | null): Promise<void> {
    try {
      await relabel(image.id, name, () => {
        if (this.dialog.element.isConnected) void this.show();
      });
    } catch (error) {
      report(error);
    }
  }

  private history(image: ImageDetail): HTMLElement | null {
    if (image.history.length === 0) return null;
    const now = Date.now();
    const list = h("ol", { class: "history" });
    for (const label of image.history) {
      const who = [label.annotator, label.source, label.batch === null ? "" : `batch ${label.batch}`].filter((part) => part !== "").join(", ");
      list.append(
        h("li", { class: label.ended === null ? "" : "ended" }, className(label.class), h("span", { class: "muted" }, `${who}, ${ago(label.at, now)}`)),
      );
    }
    return h("div", {}, h("h3", {}, plural(image.history.length, "label")), list);
  }

  private fillSimilar(items: readonly Similar[]): void {
    const strip = this.dialog.body.querySelector(".similar-strip");
    if (strip === null) return;
    const others = items.filter((one) => one.image.id !== this.id);
    if (others.length === 0) {
      replace(strip, h("p", { class: "muted" }, "No similar images."));
      return;
    }
    replace(
      strip,
      ...others.map((one) => {
        const tile = imageTile(one.image, () => this.visit(one.image.id));
        tile.append(h("span", { class: "badge similarity", title: "Cosine similarity" }, one.similarity.toFixed(2)));
        return tile;
      }),
    );
  }
}
