/*
 * Accuracy over labels: what was measured (solid, with its points), where it stands, and what the next labels are
 * expected to bring (dashed, with the band that holds 8 of 10 cases). Below the labels, what the next ones cost.
 *
 * Drawn at the width that the page gives it, so that letters keep their size; told apart by line and words, not by hue.
 */
import { h, svg } from "./dom";
import { count, minutes, money, percent, plural, points } from "./format";
import { shareRange, ticks } from "./forecast_plan";
import { project } from "./state";
import type { Forecast } from "./types";

const LEFT = 46;
const RIGHT = 14;
const TOP = 42;

/* A budget with numbers in it. */
interface Ahead {
  more: number;
  accuracy: number;
  low: number;
  high: number;
  answer: Forecast;
}

function aheadOf(answers: readonly Forecast[]): Ahead[] {
  const list: Ahead[] = [];
  for (const answer of answers) {
    const { accuracy, gain, low, high } = answer;
    if (accuracy === null || gain === null || low === null || high === null) continue;
    const clamp = (share: number): number => Math.min(1, Math.max(0, share));
    list.push({
      more: answer.labels_more,
      accuracy: clamp(accuracy + gain),
      low: clamp(accuracy + low),
      high: clamp(accuracy + high),
      answer,
    });
  }
  return list;
}

/* What of a series the chart shows: budgets up to about as many labels as there are, but at least two. */
function within(ahead: readonly Ahead[], now: number): Ahead[] {
  return ahead.filter((one, i) => i < 2 || one.more <= now * 1.2);
}

function costWords({ price, minutes: time }: Forecast): string[] {
  return [
    price > 0 ? `+${money(price, project().currency).replace(/\.00$/, "")}` : "",
    time > 0 ? `+${minutes(time)}` : "",
  ].filter((part) => part !== "");
}

function chartWords(now: number, accuracy: number, ahead: readonly Ahead[]): string {
  const last = ahead.at(-1);
  const words = `Balanced accuracy over labels: about ${percent(accuracy)} with ${plural(now, "label")}.`;
  if (last === undefined) return words;
  return `${words} With ${count(last.more)} more about ${percent(last.accuracy)}, in 8 of 10 cases ${percent(last.low)} to ${percent(last.high)}.`;
}

/* answers: of several budgets, smallest first, at least one with numbers. chosen: the budget to mark, or null. */
export function learningCurve(answers: readonly Forecast[], chosen: number | null = null): HTMLElement {
  const frame = h("div", { class: "curve" });
  let width = 0;
  const draw = (): void => {
    if (frame.clientWidth === 0 || frame.clientWidth === width) return;
    width = frame.clientWidth;
    frame.replaceChildren(drawn(answers, chosen, width, frame.clientHeight));
  };
  new ResizeObserver(draw).observe(frame);
  return frame;
}

/* What there is to draw, and where a value lies on the picture. */
class Picture {
  readonly now: number;
  readonly accuracy: number;
  readonly measured: readonly { labels: number; accuracy: number }[];
  readonly ahead: readonly Ahead[];
  readonly priced: readonly Ahead[];
  readonly end: number; // labels at the right edge
  readonly low: number;
  readonly high: number;
  private readonly bottom: number;

  constructor(
    answers: readonly Forecast[],
    readonly width: number,
    readonly height: number,
  ) {
    const first = answers.find((one) => one.accuracy !== null);
    this.now = first?.labels_now ?? 0;
    this.accuracy = first?.accuracy ?? 0;
    this.measured = (first?.curve ?? []).filter((one) => one.labels > 0);
    this.ahead = within(aheadOf(answers), this.now);
    this.priced = this.ahead.filter((one) => costWords(one.answer).length > 0);
    this.end = Math.max(1, this.now + (this.ahead.at(-1)?.more ?? 0));
    const shares = [...this.measured.map((one) => one.accuracy), ...this.ahead.flatMap((one) => [one.low, one.high])];
    [this.low, this.high] = shareRange([this.accuracy, ...shares]);
    this.bottom = this.priced.length > 0 ? 54 : 38;
  }

  x(labels: number): number {
    return LEFT + ((this.width - LEFT - RIGHT) * labels) / this.end;
  }

  y(share: number): number {
    return TOP + ((this.height - TOP - this.bottom) * (this.high - share)) / (this.high - this.low);
  }

  get floor(): number {
    return this.y(this.low);
  }

  path(points: readonly (readonly [number, number])[]): string {
    return points
      .map(([labels, share], i) => `${i === 0 ? "M" : "L"}${this.x(labels).toFixed(1)} ${this.y(share).toFixed(1)}`)
      .join("");
  }
}

function text(words: string, x: number, y: number, look: string, anchor = "start"): SVGTextElement {
  return svg("text", { x, y, class: look, "text-anchor": anchor }, words);
}

function upright(look: string, x: number, from: number, to: number): SVGLineElement {
  return svg("line", { class: look, x1: x, x2: x, y1: from, y2: to });
}

function axes(p: Picture): SVGElement[] {
  const level = (look: string, y: number): SVGElement =>
    svg("line", { class: look, x1: LEFT, x2: p.width - RIGHT, y1: y, y2: y });
  const list: SVGElement[] = [];
  // The lowest value is always written, so that nobody takes the axis to begin at 0 where it does not.
  const rows = Math.max(2, Math.round((p.floor - TOP) / 44));
  const shares = ticks(p.low, p.high, rows).filter((share) => p.floor - p.y(share) > 14);
  for (const share of [p.low, ...shares]) {
    list.push(level("grid", p.y(share)), text(percent(share), LEFT - 7, p.y(share) + 4, "tick", "end"));
  }
  for (const labels of ticks(0, p.end, Math.max(2, Math.round(p.width / 110)))) {
    list.push(
      upright("axis", p.x(labels), p.floor, p.floor + 4),
      text(count(labels), p.x(labels), p.floor + 18, "tick", "middle"),
    );
  }
  return [
    ...list,
    level("axis", p.floor),
    text("labels", 2, p.floor + 18, "tick"),
    text("balanced accuracy", 2, 12, "tick"),
  ];
}

function expected(p: Picture, chosen: number | null): SVGElement[] {
  if (p.ahead.length === 0) return [];
  const now = [p.now, p.accuracy] as const;
  const line = (of: "accuracy" | "low" | "high"): [number, number][] =>
    p.ahead.map((one) => [p.now + one.more, one[of]]);
  const dots = p.ahead.map((one) => {
    const marked = one.more === chosen;
    const words = `${count(one.more)} more: ${points(one.accuracy - p.accuracy)} points, ${percent(one.low)} to ${percent(one.high)} in 8 of 10 cases`;
    const place = { cx: p.x(p.now + one.more), cy: p.y(one.accuracy), r: marked ? 4.5 : 2.5 };
    return svg("circle", { class: marked ? "ahead-point marked" : "ahead-point", ...place }, svg("title", {}, words));
  });
  return [
    svg("path", { class: "band", d: `${p.path([now, ...line("high"), ...line("low").reverse()])}Z` }),
    svg("path", { class: "ahead", d: p.path([now, ...line("accuracy")]) }),
    ...dots,
  ];
}

function past(p: Picture): SVGElement[] {
  const line = p.measured.map((one) => [one.labels, one.accuracy] as const);
  const last = line.at(-1);
  const dots = p.measured.map((one) => {
    const words = `${count(one.labels)} labels: ${percent(one.accuracy)}, measured`;
    return svg("circle", { cx: p.x(one.labels), cy: p.y(one.accuracy), r: 2.5 }, svg("title", {}, words));
  });
  const list: SVGElement[] = [svg("path", { class: "measured", d: p.path(line) }), ...dots];
  // The fit need not pass through the last measured point: the line to "now" is its own, thinner piece.
  if (last !== undefined) list.unshift(svg("path", { class: "joint", d: p.path([last, [p.now, p.accuracy]]) }));
  return list;
}

/* The words beside the lines: where it stands above, what it was and what it will be along the curves. */
function labels(p: Picture): SVGElement[] {
  const now = p.x(p.now);
  const [anchor, shift] = now > p.width * 0.6 ? ["end", 4] : now < p.width * 0.3 ? ["start", -4] : ["middle", 0];
  const list: SVGElement[] = [
    upright("now", now, TOP - 8, p.floor),
    svg("circle", { cx: now, cy: p.y(p.accuracy), r: 4 }),
    text(`now ${percent(p.accuracy)}, ${plural(p.now, "label")}`, now + shift, TOP - 13, "strong", anchor),
  ];
  const middle = p.measured[Math.floor(p.measured.length / 2)];
  if (middle !== undefined) list.push(text("measured", p.x(middle.labels) + 6, p.y(middle.accuracy) + 18, "label"));
  const edge = p.ahead.at(-1);
  if (edge !== undefined) {
    const gain = `${points(edge.accuracy - p.accuracy)} points for ${count(edge.more)} more`;
    const below = p.y(edge.low) + 16 < p.floor;
    list.push(text(gain, p.width - 2, Math.max(TOP + 4, p.y(edge.high) - 7), "strong", "end"));
    list.push(text("8 of 10 cases", p.width - 2, p.y(edge.low) + (below ? 14 : -6), "label", "end"));
  }
  return list;
}

/* Costs from the right, each where its budget is, as long as there is room. */
function costs(p: Picture): SVGElement[] {
  if (p.priced.length === 0) return [];
  const list: SVGElement[] = [text("cost", 2, p.floor + 35, "tick")];
  let free = Infinity;
  for (const one of [...p.priced].reverse()) {
    const words = costWords(one.answer).join(" · ");
    const half = words.length * 3.2; // about half of its width
    const x = p.x(p.now + one.more);
    const middle = Math.min(x, p.width - half - 2);
    if (middle + half + 10 > free || middle - half < LEFT) continue;
    free = middle - half;
    list.push(upright("axis", x, p.floor, p.floor + 23), text(words, middle, p.floor + 35, "tick", "middle"));
  }
  return list;
}

function drawn(answers: readonly Forecast[], chosen: number | null, width: number, height: number): SVGSVGElement {
  const p = new Picture(answers, width, height);
  const words = chartWords(p.now, p.accuracy, p.ahead);
  const parts = [axes(p), expected(p, chosen), past(p), labels(p), costs(p)].flat();
  return svg("svg", { width, height, role: "img", "aria-label": words }, ...parts);
}
