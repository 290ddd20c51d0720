/*
 * Elements without a framework. Text only ever becomes a text node, so that a path or a class name can never be markup;
 * there is no innerHTML anywhere in this folder.
 */

export type Child = Node | string | number | null | undefined | false;
type Handler = (event: never) => void;
export type Props = Record<string, string | number | boolean | null | undefined | Handler>;

function apply(element: Element, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value as unknown as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else element.setAttribute(name, String(value));
  }
}

function fill(element: Element, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/* h("button", { class: "quiet", onclick: go }, "Go"): attributes as strings, listeners as `on…`, children as text or nodes. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  apply(element, props);
  fill(element, children);
  return element;
}

/* A box in which what is wider than the window scrolls, by keys as well: a region with a name, and a shadow where there is more. */
export function scrollBox(name: string, ...children: Child[]): HTMLDivElement {
  return h("div", { class: "scroll", role: "region", "aria-label": name, tabindex: 0 }, ...children);
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  apply(element, props);
  fill(element, children);
  return element;
}

export function replace(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  fill(element, children);
}

/* Words with `code` in them, as the server's sentences have. */
export function prose(text: string): Node[] {
  return text.split("`").map((part, i) => (i % 2 === 1 ? h("code", {}, part) : document.createTextNode(part)));
}

export function button(text: string, onclick: () => void, props: Props = {}): HTMLButtonElement {
  return h("button", { type: "button", onclick, ...props }, text);
}

/* A stroked 16 x 16 icon from one path. */
export function icon(path: string): SVGSVGElement {
  return svg(
    "svg",
    { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" },
    svg("path", { d: path, fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linecap": "round", "stroke-linejoin": "round" }),
  );
}

/* A picture that says so when it cannot be shown. */
export function picture(src: string, alt: string, props: Props = {}): HTMLElement {
  const frame = h("span", { class: "picture" });
  const img = h("img", { alt, loading: "lazy", decoding: "async", ...props });
  img.addEventListener("error", () => {
    frame.classList.add("missing");
    replace(frame, h("span", { class: "missing-words" }, "no picture"));
  });
  img.addEventListener("load", () => frame.classList.add("loaded"));
  img.src = src;
  frame.append(img);
  return frame;
}

/*
 * Arrow keys move over a grid whose items wrap: one item is in the tab order, the others are reached from it. Rows are
 * told apart by where the browser put them.
 */
export function gridStep(items: readonly HTMLElement[], from: number, key: string): number {
  const here = items[from];
  if (here === undefined) return items.length > 0 ? 0 : -1;
  if (key === "ArrowLeft") return Math.max(0, from - 1);
  if (key === "ArrowRight") return Math.min(items.length - 1, from + 1);
  if (key === "Home") return 0;
  if (key === "End") return items.length - 1;
  const box = here.getBoundingClientRect();
  const middle = box.left + box.width / 2;
  const down = key === "ArrowDown";
  let best = from;
  let bestRow: number | null = null;
  let bestDistance = Infinity;
  for (let i = from; down ? i < items.length : i >= 0; i += down ? 1 : -1) {
    const other = items[i]!.getBoundingClientRect();
    if (down ? other.top <= box.top + 1 : other.top >= box.top - 1) continue;
    if (bestRow === null) bestRow = other.top;
    if (Math.abs(other.top - bestRow) > 1) break;
    const distance = Math.abs(other.left + other.width / 2 - middle);
    if (distance < bestDistance) {
      bestDistance = distance;
      best = i;
    }
  }
  return best;
}

export const GRID_KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];
