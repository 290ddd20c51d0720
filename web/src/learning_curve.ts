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
    list.push({ more: answer.labels_more, accuracy: clamp(accuracy + gain), low: clamp(accuracy + low), high: clamp(accuracy + high), answer });
  }
  return list;
}

/* What of a series the chart shows: budgets up to twice the labels there are, but at least two. */
function within(ahead: readonly Ahead[], now: number): Ahead[] {
  return ahead.filter((one, i) => i < 2 || one.more <= now * 1.2);
}

function costWords({ price, minutes: time }: Forecast): string[] {
  return [price > 0 ? `+${money(price, project().currency).replace(/\.00$/, "")}` : "", time > 0 ? `+${minutes(time)}` : ""].filter((part) => part !== "");
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

function drawn(answers: readonly Forecast[], chosen: number | null, width: number, height: number): SVGSVGElement {
  const first = answers.find((one) => one.accuracy !== null);
  const now = first?.labels_now ?? 0;
  const accuracy = first?.accuracy ?? 0;
  const measured = (first?.curve ?? []).filter((one) => one.labels > 0);
  const all = aheadOf(answers);
  const ahead = within(all, now);
  const marked = ahead.find((one) => one.more === chosen);
  const priced = ahead.filter((one) => costWords(one.answer).length > 0);

  const bottom = priced.length > 0 ? 54 : 38;
  const end = now + (ahead.at(-1)?.more ?? 0);
  const [low, high] = shareRange([accuracy, ...measured.map((one) => one.accuracy), ...ahead.flatMap((one) => [one.low, one.high])]);
  const x = (labels: number): number => LEFT + ((width - LEFT - RIGHT) * labels) / Math.max(1, end);
  const y = (share: number): number => TOP + ((height - TOP - bottom) * (high - share)) / (high - low);
  const line = (list: readonly [number, number][]): string => list.map(([a, b], i) => `${i === 0 ? "M" : "L"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  const text = (words: string, at: [number, number], props: Record<string, string | number> = {}): SVGTextElement => svg("text", { x: at[0], y: at[1], ...props }, words);

  const title = chartWords(now, accuracy, ahead);
  const chart = svg("svg", { width, height, role: "img", "aria-label": title });
  const floor = y(low);
  // The lowest value is always written, so that nobody takes the axis to begin at 0 where it does not.
  const shares = ticks(low, high, Math.max(2, Math.round((height - TOP - bottom) / 44))).filter((share) => share === low || floor - y(share) > 14);
  if (shares[0] !== low) shares.unshift(low);
  for (const share of shares) {
    chart.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(share), y2: y(share) }), text(percent(share), [LEFT - 7, y(share) + 4], { class: "tick", "text-anchor": "end" }));
  }
  for (const labels of ticks(0, end, Math.max(2, Math.round(width / 110)))) {
    chart.append(svg("line", { class: "axis", x1: x(labels), x2: x(labels), y1: floor, y2: floor + 4 }), text(count(labels), [x(labels), floor + 18], { class: "tick", "text-anchor": "middle" }));
  }
  chart.append(svg("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: floor, y2: floor }));
  chart.append(text("labels", [2, floor + 18], { class: "tick" }), text("balanced accuracy", [2, 12], { class: "tick" }));

  if (ahead.length > 0) {
    const upper: [number, number][] = [[now, accuracy], ...ahead.map((one): [number, number] => [now + one.more, one.high])];
    const lower: [number, number][] = ahead.map((one): [number, number] => [now + one.more, one.low]).reverse();
    chart.append(svg("path", { class: "band", d: `${line(upper)}${line(lower).replace("M", "L")}Z` }));
    chart.append(svg("path", { class: "ahead", d: line([[now, accuracy], ...ahead.map((one): [number, number] => [now + one.more, one.accuracy])]) }));
  }
  // The fit need not pass through the last measured point: the line to "now" is its own, thinner piece.
  const last = measured.at(-1);
  if (last !== undefined) chart.append(svg("path", { class: "joint", d: line([[last.labels, last.accuracy], [now, accuracy]]) }));
  chart.append(svg("path", { class: "measured", d: line(measured.map((one) => [one.labels, one.accuracy])) }));
  for (const one of measured) {
    const words = `${count(one.labels)} labels: ${percent(one.accuracy)}, measured`;
    chart.append(svg("circle", { class: "measured-point", cx: x(one.labels), cy: y(one.accuracy), r: 2.5 }, svg("title", {}, words)));
  }
  for (const one of ahead) {
    const words = `${count(one.more)} more: ${points(one.accuracy - accuracy)} points, ${percent(one.low)} to ${percent(one.high)} in 8 of 10 cases`;
    chart.append(svg("circle", { class: one === marked ? "ahead-point marked" : "ahead-point", cx: x(now + one.more), cy: y(one.accuracy), r: one === marked ? 4.5 : 2.5 }, svg("title", {}, words)));
  }

  // The words beside the lines: where it stands above, what it was and what it will be along the curves.
  chart.append(svg("line", { class: "now", x1: x(now), x2: x(now), y1: TOP - 8, y2: floor }));
  chart.append(svg("circle", { class: "now-point", cx: x(now), cy: y(accuracy), r: 4 }));
  const side = x(now) > width * 0.6 ? "end" : x(now) < width * 0.3 ? "start" : "middle";
  chart.append(text(`now ${percent(accuracy)}, ${plural(now, "label")}`, [x(now) + (side === "end" ? 4 : side === "start" ? -4 : 0), TOP - 13], { class: "strong", "text-anchor": side }));
  const middle = measured[Math.floor(measured.length / 2)];
  if (middle !== undefined) chart.append(text("measured", [x(middle.labels) + 6, y(middle.accuracy) + 18], { class: "label" }));
  const edge = ahead.at(-1);
  if (edge !== undefined) {
    const below = y(edge.low) + 16 < floor;
    chart.append(text(`${points(edge.accuracy - accuracy)} points for ${count(edge.more)} more`, [width - 2, Math.max(TOP + 4, y(edge.high) - 7)], { class: "strong", "text-anchor": "end" }));
    chart.append(text("8 of 10 cases", [width - 2, below ? y(edge.low) + 14 : y(edge.low) - 6], { class: "label", "text-anchor": "end" }));
  }

  // Costs from the right, each where its budget is, as long as there is room.
  let free = Infinity;
  for (const one of [...priced].reverse()) {
    const words = costWords(one.answer).join(" · ");
    const half = words.length * 3.2;
    const at = Math.min(x(now + one.more), width - half - 2);
    if (at + half + 10 > free || at - half < LEFT) continue;
    free = at - half;
    chart.append(svg("line", { class: "axis", x1: x(now + one.more), x2: x(now + one.more), y1: floor, y2: floor + 23 }), text(words, [at, floor + 35], { class: "tick", "text-anchor": "middle" }));
  }
  if (priced.length > 0) chart.append(text("cost", [2, floor + 35], { class: "tick" }));
  return chart;
}
