/*
 * The pages of a project, by the fragment of the address (#/forecast), so that a link leads to one and the browser's
 * back works. All stay in the document once shown; only one is visible. Any other fragment is the first page's.
 */
import { h, type Child } from "./dom";

export interface Page {
  path: string; // "" for the first
  title: string;
  key: string;
  element: HTMLElement;
  shown: () => void;
}

export class Pages {
  readonly nav = h("nav", { class: "pages", "aria-label": "Pages" });
  readonly main = h("main", {});
  private readonly links = new Map<string, HTMLAnchorElement>();
  private current: Page | null = null;

  constructor(
    private readonly pages: readonly Page[],
    private readonly name: string,
  ) {
    for (const page of pages) {
      const link = h("a", { href: `#/${page.path}`, "aria-keyshortcuts": page.key }, page.title);
      this.links.set(page.path, link);
      this.nav.append(link);
      page.element.hidden = true;
      this.main.append(page.element);
    }
    window.addEventListener("hashchange", this.follow);
  }

  start(): void {
    this.show(this.wanted());
  }

  stop(): void {
    window.removeEventListener("hashchange", this.follow);
  }

  go(path: string): void {
    if (this.current?.path === path) return;
    // The fragment changes at once, its event comes later; whoever goes to a page wants to use it now.
    location.hash = `#/${path}`;
    this.follow();
  }

  /* A number or a word beside a page's name, with words for those who do not see it. */
  note(path: string, text: string, words: string, look = ""): void {
    const link = this.links.get(path);
    if (link === undefined) return;
    link.querySelector(".note")?.remove();
    if (text !== "")
      link.append(
        h(
          "span",
          { class: `note ${look}`, title: words },
          h("span", { "aria-hidden": "true" }, text),
          h("span", { class: "sr" }, ` (${words})`),
        ),
      );
  }

  private wanted(): Page {
    const path = location.hash.startsWith("#/") ? location.hash.slice(2) : "";
    return this.pages.find((page) => page.path === path) ?? this.pages[0]!;
  }

  private readonly follow = (): void => {
    const page = this.wanted();
    if (page === this.current) return;
    this.show(page);
    window.scrollTo(0, 0);
    page.element.querySelector<HTMLElement>(".panel")?.focus({ preventScroll: true });
  };

  private show(page: Page): void {
    this.current = page;
    for (const one of this.pages) {
      one.element.hidden = one !== page;
      const link = this.links.get(one.path)!;
      if (one === page) {
        link.setAttribute("aria-current", "page");
        link.scrollIntoView({ block: "nearest", inline: "nearest" });
      } else link.removeAttribute("aria-current");
    }
    document.title = `${page.path === "" ? "" : `${page.title} – `}${this.name} – gleaner`;
    page.shown();
  }
}

/* A link to a page, for where it is spoken of. */
export function pageLink(path: string, props: Record<string, string>, ...children: Child[]): HTMLAnchorElement {
  return h("a", { href: `#/${path}`, ...props }, ...children);
}
