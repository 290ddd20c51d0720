/*
 * The forecast for several budgets at once, and what a point of accuracy is worth to whoever looks: that is kept in the
 * browser, since the server takes it with each question.
 */
import { api, projectPath } from "./api";
import { budgets } from "./forecast_plan";
import { project } from "./state";
import type { Forecast } from "./types";

function storageKey(): string {
  return `gleaner.point-value.${project().id}`;
}

export function pointValue(): number | null {
  try {
    const value = Number(localStorage.getItem(storageKey()));
    return value > 0 && Number.isFinite(value) ? value : null;
  } catch {
    return null;
  }
}

export function keepPointValue(value: number | null): void {
  try {
    if (value === null) localStorage.removeItem(storageKey());
    else localStorage.setItem(storageKey(), String(value));
  } catch {
    // Storage is off: the value lasts as long as the page.
  }
}

/* One answer a budget, smallest first. extra: a budget that someone asked for, or null. */
export async function loadForecasts(worth: number | null, extra: number | null = null): Promise<Forecast[]> {
  const { name, labels, images } = project();
  const path = projectPath(name, "/forecast");
  const sizes = budgets(labels, images - labels);
  if (extra !== null && !sizes.includes(extra)) sizes.push(extra);
  if (sizes.length === 0) sizes.push(1);
  sizes.sort((a, b) => a - b);
  return Promise.all(sizes.map((labels) => api<Forecast>("GET", path, { query: { labels, point_value: worth } })));
}
