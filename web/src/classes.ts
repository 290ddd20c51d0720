/* How a class looks wherever it appears: a coloured square and its name, and a bar of several. */
import { h, svg } from "./dom";
import { count, percent, plural, type MixSegment } from "./format";
import { classIndex } from "./state";

export function swatch(name: string, kind: "labelled" | "predicted" | "unknown" = "labelled"): HTMLElement {
  return h("span", { class: `swatch ${kind}`, "data-class": kind === "unknown" ? "none" : classIndex(name), "aria-hidden": "true" });
}

export function className(name: string, note = ""): HTMLElement {
  return h("span", { class: "class-name" }, swatch(name), h("span", { class: "text" }, name), note !== "" && h("span", { class: "muted" }, note));
}

function segmentWords(segment: MixSegment): string {
  if (segment.kind === "unknown") return `${count(segment.n)} without label or prediction`;
  return `${segment.class}: ${count(segment.n)} ${segment.kind}`;
}

/* One bar of the whole width, in segments: full colour where labelled, pale where predicted, grey where unknown. */
export function mixBar(segments: readonly MixSegment[], size: number): SVGSVGElement {
  const words = segments.length === 0 ? "empty" : segments.map(segmentWords).join(", ");
  const bar = svg("svg", { class: "mix", role: "img", "aria-label": `${plural(size, "image")}: ${words}` }, svg("title", {}, words));
  let x = 0;
  for (const segment of segments) {
    const index = segment.kind === "unknown" ? "none" : classIndex(segment.class);
    bar.append(
      svg("rect", { class: segment.kind, "data-class": index, x: `${x * 100}%`, width: `${segment.share * 100}%`, height: "100%" }),
    );
    x += segment.share;
  }
  return bar;
}

export function confidence(p: number | null): string {
  return p === null ? "" : percent(p);
}
