/*
 * Labels that look wrong, most certain first: the photo, what it is labelled, what it looks like and why. Relabelling is
 * a label like any other, with an undo. That a label is right after all is remembered by this browser only, since the
 * server would ask again after each resample.
 */
import { api, projectPath, thumbnailUrl } from "./api";
import { className, confidence } from "./classes";
import { button, h, picture, prose, replace, svg } from "./dom";
import { count, fileName, plural } from "./format";
import { openImage } from "./image_dialog";
import { Kept } from "./kept";
import { isTyping } from "./keys";
import { PagePanel, empty } from "./panel";
import { relabel } from "./relabel";
import { resampleNow } from "./runs";
import { changed, classIndex, guard, may, project } from "./state";
import { report, toast } from "./toast";
import type { LabelCheck, LabelChecks } from "./types";

const PAGE = 50;

export class ChecksPanel extends PagePanel {
  private readonly summary = h("div", {});
  private readonly list = h("ul", { class: "checks", "aria-label": "Labels that look wrong" });
  private readonly foot = h("div", { class: "thumb-foot" });
  private readonly kept = new Kept();
  private readonly sent = new Set<number>(); // images whose new label is on its way
  private answer: LabelChecks | null = null;
  private shownUpTo = PAGE;

  constructor() {
    super("label-checks", "Labels that look wrong", 4, "insight");
    this.element.addEventListener("keydown", (event) => this.keydown(event));
  }

  async refresh(): Promise<void> {
    await this.load(
      () => api<LabelChecks>("GET", projectPath(project().name, "/label-checks"), { query: { limit: 1000 } }),
      (answer) => this.show(answer),
    );
  }

  private show(answer: LabelChecks): void {
    this.answer = answer;
    this.sent.clear();
    if (answer.run === null || answer.checked === 0) {
      replace(
        this.body,
        empty("Nothing is checked yet", h("p", {}, ...prose(answer.words)), project().images > 0 && resampleNow("")),
      );
      return;
    }
    replace(this.summary, this.summaryOf(answer));
    if (this.list.parentElement !== this.body) replace(this.body, this.summary, this.list, this.foot);
    this.showList();
  }

  private open(): LabelCheck[] {
    return (this.answer?.items ?? []).filter((one) => !this.kept.has(one) && !this.sent.has(one.image));
  }

  private showList(): void {
    const { answer } = this;
    if (answer === null) return;
    const open = this.open();
    const kept = answer.items.filter((one) => this.kept.has(one)).length;
    // What had the focus may be gone: its place is taken by the one after it.
    const rows = [...this.list.children];
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const focused = at >= 0 ? (document.activeElement as HTMLElement).dataset["act"] : undefined;
    replace(this.list, ...open.slice(0, this.shownUpTo).map((one, i) => this.row(one, i, open)));
    if (open.length === 0) {
      const words =
        answer.items.length > 0
          ? "You have looked at every label that looks wrong."
          : answer.suspects > 0
            ? "Every label that looked wrong has been changed since. A resample judges the new ones."
            : "No label looks wrong.";
      replace(
        this.list,
        h("li", { class: "none" }, empty(words, answer.suspects > 0 && answer.items.length === 0 && resampleNow(""))),
      );
    }
    if (focused !== undefined) this.focusRow(Math.min(at, this.list.children.length - 1), focused);
    replace(
      this.foot,
      open.length > this.shownUpTo &&
        button(`Show ${count(Math.min(PAGE, open.length - this.shownUpTo))} more of ${count(open.length)}`, () => {
          this.shownUpTo += PAGE;
          this.showList();
        }),
      kept > 0 &&
        h(
          "p",
          { class: "muted" },
          `${plural(kept, "label")} found right in this browser. `,
          button(
            "Show again",
            () => {
              this.kept.clear();
              changed("insight");
            },
            { class: "link" },
          ),
        ),
    );
  }

  private row(check: LabelCheck, index: number, open: readonly LabelCheck[]): HTMLElement {
    const look = (): void => openImage(check.image, { list: open.map((one) => one.image), index });
    const others = h("select", {
      "aria-label": `Another class for ${fileName(check.path ?? "")}`,
      "data-act": "other",
      disabled: !may("annotator"),
    });
    others.append(h("option", { value: "" }, "Another class…"));
    for (const one of project().classes)
      if (one.name !== check.given && one.name !== check.suggested)
        others.append(h("option", { value: one.name }, one.name));
    others.addEventListener("change", () => void this.set(check, others.value));
    const name = fileName(check.path ?? `image ${check.image}`);
    return h(
      "li",
      { class: "check", "data-image": check.image },
      h(
        "button",
        {
          type: "button",
          class: "look",
          "aria-label": `Details of ${name}`,
          title: check.path ?? "",
          "data-act": "look",
          onclick: look,
        },
        picture(thumbnailUrl(project().name, check.image), ""),
      ),
      h(
        "div",
        { class: "check-words" },
        h(
          "p",
          { class: "from-to" },
          h("span", { class: "given" }, className(check.given, confidence(check.p_given))),
          h("span", { "aria-label": "looks like", role: "img" }, "→"),
          h("strong", {}, className(check.suggested, confidence(check.p_suggested))),
        ),
        voteBar(check),
        h(
          "p",
          { class: "muted" },
          `${name}${check.annotator === "" ? "" : ` · labelled by ${check.annotator}`}${check.near_duplicate ? " · a near-duplicate has the other label" : ""}`,
        ),
      ),
      h(
        "div",
        { class: "check-acts" },
        guard(
          button(`Relabel ${check.suggested}`, () => void this.set(check, check.suggested), {
            class: "suggest",
            "data-act": "relabel",
            "aria-keyshortcuts": "R",
          }),
          "annotator",
        ),
        button(`Keep ${check.given}`, () => this.keep(check), {
          "data-act": "keep",
          "aria-keyshortcuts": "K",
          title: "It is right; this browser remembers that (K)",
        }),
        others,
      ),
    );
  }

  private summaryOf(answer: LabelChecks): HTMLElement {
    const list = h("ul", { class: "class-checks", "aria-label": "By class" });
    const widest = Math.max(...answer.classes.map((one) => one.labels), 1);
    for (const one of answer.classes.filter((each) => each.labels > 0)) {
      const words = one.checked
        ? `${count(one.suspects)} of ${plural(one.labels, "label")}`
        : `${plural(one.labels, "label")}, too few to check`;
      list.append(
        h(
          "li",
          {},
          className(one.class),
          svg(
            "svg",
            { class: "share-bar", role: "img", "aria-label": `${one.class}: ${words}` },
            svg("title", {}, words),
            svg("rect", {
              class: "whole",
              "data-class": classIndex(one.class),
              width: `${(one.labels / widest) * 100}%`,
              height: 8,
              rx: 2,
            }),
            svg("rect", { class: "part", width: `${(one.suspects / widest) * 100}%`, height: 8, rx: 2 }),
          ),
          h("span", { class: "num muted" }, one.checked ? `${count(one.suspects)} of ${count(one.labels)}` : "too few"),
        ),
      );
    }
    const left = this.open().length;
    return h(
      "div",
      { class: "check-summary" },
      h(
        "div",
        {},
        h(
          "p",
          {},
          h("span", { class: "big num" }, answer.next === null ? count(left) : `${count(left)}+`),
          " to look at",
        ),
        h("p", { class: "muted" }, answer.words),
        h(
          "p",
          { class: "muted" },
          "The classifier, held out, and the nearest labelled images agree on another class. Look at each: relabel it, or keep it.",
        ),
        h("p", { class: "hint muted" }, ...hints()),
      ),
      list,
    );
  }

  private async set(check: LabelCheck, name: string): Promise<void> {
    if (name === "" || !may("annotator")) return;
    this.sent.add(check.image);
    this.showList();
    try {
      await relabel(check.image, name);
    } catch (error) {
      this.sent.delete(check.image);
      this.showList();
      report(error);
    }
  }

  private keep(check: LabelCheck): void {
    const set = (right: boolean): void => {
      this.kept.put(check, right);
      if (this.answer !== null) this.show(this.answer);
      changed("insight");
    };
    set(true);
    toast(`Kept as ${check.given}.`, { undo: () => set(false) });
  }

  private focusRow(index: number, act: string): void {
    const row = this.list.children.item(Math.max(0, index));
    (row?.querySelector<HTMLElement>(`[data-act="${act}"]`) ?? this.element).focus();
  }

  private keydown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || isTyping(event.target)) return;
    if (event.target === this.element && event.key === "ArrowDown") {
      event.preventDefault();
      this.focusRow(0, "relabel");
      return;
    }
    const row = (event.target as HTMLElement).closest(".check");
    const rows = [...this.list.children];
    const index = row === null ? -1 : rows.indexOf(row);
    const check = this.open()[index];
    if (check === undefined) return;
    const act = (event.target as HTMLElement).dataset["act"] ?? "look";
    const { key } = event;
    if (key === "r") void this.set(check, check.suggested);
    else if (key === "k") this.keep(check);
    else if (key === "ArrowDown") this.focusRow(Math.min(index + 1, rows.length - 1), act);
    else if (key === "ArrowUp") this.focusRow(index - 1, act);
    else return;
    event.preventDefault();
  }
}

function hints(): HTMLElement[] {
  return (
    [
      ["↑ ↓", "move"],
      ["R", "relabel as suggested"],
      ["K", "keep the label"],
      ["Enter", "details"],
      ["Ctrl Z", "undo"],
    ] as const
  ).map(([key, words]) => h("span", {}, h("kbd", {}, key), words));
}

/* How the nearest labelled images vote: for the suggestion, for the label, for others. */
function voteBar(check: LabelCheck): HTMLElement {
  const { votes, votes_given: given, votes_suggested: suggested } = check;
  const words =
    votes === 0
      ? "no labelled neighbours"
      : `${suggested} of its ${votes} nearest labelled images say ${check.suggested}, ${given === 0 ? "none" : given} ${check.given}`;
  const share = (n: number): string => `${votes === 0 ? 0 : (n / votes) * 100}%`;
  return h(
    "div",
    { class: "votes" },
    svg(
      "svg",
      { class: "share-bar", "aria-hidden": "true" },
      svg("rect", { class: "rest", width: "100%", height: 8, rx: 2 }),
      svg("rect", { class: "whole", "data-class": classIndex(check.suggested), width: share(suggested), height: 8 }),
      svg("rect", {
        class: "whole",
        "data-class": classIndex(check.given),
        x: share(votes - given),
        width: share(given),
        height: 8,
      }),
    ),
    h("span", { class: "muted" }, words),
  );
}
