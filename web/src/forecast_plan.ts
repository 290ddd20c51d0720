/* Which budgets to ask a forecast for, and the round numbers of a chart's axes: pure functions. */

const STEPS = [1, 2, 5];

/* The 1, 2, 5, 10, 20, 50, … at or below n, at least `least`. */
function roundBelow(n: number, least: number): { step: number; scale: number } {
  const scale = 10 ** Math.floor(Math.log10(Math.max(n, least)));
  const step = [...STEPS].reverse().find((each) => each * scale <= Math.max(n, least)) ?? 1;
  return { step, scale };
}

/*
 * Five budgets in labels, from about a tenth of what there is to about twice of it, none above what is left to label.
 * When less is left than the first of them, that is the only one.
 */
export function budgets(labels: number, left: number): number[] {
  if (left < 1) return [];
  let { step, scale } = roundBelow(labels / 10, 10);
  const list: number[] = [];
  for (let i = 0; i < 5; i++) {
    if (step * scale <= left) list.push(step * scale);
    const next = STEPS.indexOf(step) + 1;
    if (next === STEPS.length) scale *= 10;
    step = STEPS[next % STEPS.length]!;
  }
  return list.length > 0 ? list : [left];
}

/* The budget to speak of first: the middle one. */
export function usualBudget(list: readonly number[]): number | undefined {
  return list[Math.floor((list.length - 1) / 2)];
}

/* Round numbers from low to high, about `n` of them. */
export function ticks(low: number, high: number, n: number): number[] {
  if (!(high > low) || n < 1) return [];
  const rough = (high - low) / n;
  const scale = 10 ** Math.floor(Math.log10(rough));
  const step = ([...STEPS, 10].find((each) => each * scale >= rough) ?? 10) * scale;
  const list: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) list.push(i === 0 ? 0 : i * step);
  return list;
}

/* The range of an axis of shares that holds all values, to the next full step of 5 in a hundred and inside 0 to 1. */
export function shareRange(values: readonly number[]): [number, number] {
  const low = Math.floor(Math.min(...values) * 20 - 1e-9) / 20;
  const high = Math.ceil(Math.max(...values) * 20 + 1e-9) / 20;
  return [Math.max(0, low), Math.min(1, Math.max(high, low + 0.05))];
}

/* What a point (a hundredth) costs; null when no gain is expected. */
export function pricePerPoint(price: number, gain: number | null): number | null {
  return gain !== null && gain >= 0.0005 && price > 0 ? price / (gain * 100) : null;
}
