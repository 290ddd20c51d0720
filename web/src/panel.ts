/*
 * A section of the page with its three states: loading (only the first time: a reload keeps what is there until the
 * new answer has come), an error with a way to try again, and the content. A late answer never overwrites a newer one.
 */
import { sentence } from "./api";
import { button, h, prose, replace, type Child } from "./dom";
import { on, type Topic } from "./state";
import { report } from "./toast";

export class Panel {
  readonly element: HTMLElement;
  readonly title: HTMLElement;
  readonly tools: HTMLElement;
  readonly body: HTMLElement;
  private turn = 0;
  private filled = false;

  constructor(id: string, title: string, skeleton = 3) {
    const heading = `${id}-title`;
    this.title = h("div", { class: "panel-title" }, h("h2", { id: heading }, title));
    this.tools = h("div", { class: "panel-tools" });
    this.body = h("div", { class: "panel-body" });
    this.element = h(
      "section",
      { id, class: "panel", "aria-labelledby": heading, tabindex: -1 },
      h("header", { class: "panel-head" }, this.title, this.tools),
      this.body,
    );
    replace(
      this.body,
      h("p", { class: "sr" }, "Loading"),
      h("div", { class: "skeleton", "aria-hidden": "true" }, ...Array.from({ length: skeleton }, () => h("span"))),
    );
  }

  async load<T>(ask: () => Promise<T>, show: (answer: T) => void): Promise<void> {
    const turn = ++this.turn;
    this.element.setAttribute("aria-busy", "true");
    try {
      const answer = await ask();
      if (turn !== this.turn) return;
      show(answer);
      this.filled = true;
    } catch (error) {
      if (turn !== this.turn) return;
      if (!this.filled) replace(this.body, failure(error, () => void this.load(ask, show)));
      else report(error);
    } finally {
      if (turn === this.turn) this.element.removeAttribute("aria-busy");
    }
  }
}

/* The section of a page that is not always visible: what changed meanwhile is loaded when someone comes to look. */
export abstract class PagePanel extends Panel {
  private outdated = true;

  constructor(id: string, title: string, skeleton: number, ...topics: Topic[]) {
    super(id, title, skeleton);
    for (const topic of topics) {
      on(topic, () => {
        this.outdated = true;
        if (this.element.closest("[hidden]") === null) this.shown();
      });
    }
  }

  shown(): void {
    if (!this.outdated) return;
    this.outdated = false;
    void this.refresh();
  }

  abstract refresh(): Promise<void>;
}

export function failure(error: unknown, again: () => void): HTMLElement {
  return h(
    "div",
    { class: "state error", role: "alert" },
    h("p", {}, ...prose(sentence(error))),
    button("Try again", again),
  );
}

export function empty(title: string, ...children: Child[]): HTMLElement {
  return h("div", { class: "state empty" }, h("p", { class: "state-title" }, title), ...children);
}
