/*
 * What the whole page shares: who is looking, which project, and who wants to know when something changed. A section
 * that changed something names the topics; the sections that show them load again.
 */
import { api, projectPath } from "./api";
import type { Project, Role, Session } from "./types";

export type Topic = "project" | "clusters" | "balance" | "batch" | "ledger" | "runs" | "insight" | "wish";

const listeners = new Map<Topic, Set<() => void>>();

export interface Named {
  id: number;
  name: string;
}

/* wish: what another section wants of the one with the batches: one from a cluster, or a certain one that is out. */
export const state: { session: Session; project: Project | null; wish: { cluster: Named } | { batch: number } | null } = {
  session: { role: "viewer", csrf: "", version: "" },
  project: null,
  wish: null,
};

export function wish(what: { cluster: Named } | { batch: number }): void {
  state.wish = what;
  changed("wish");
}

export function project(): Project {
  if (state.project === null) throw new Error("No project is open.");
  return state.project;
}

export function on(topic: Topic, listener: () => void): void {
  let set = listeners.get(topic);
  if (set === undefined) listeners.set(topic, (set = new Set()));
  set.add(listener);
}

/* Forgets all listeners: another project is about to be shown. */
export function clearListeners(): void {
  listeners.clear();
}

export function changed(...topics: Topic[]): void {
  const called = new Set<() => void>();
  for (const topic of topics) for (const listener of listeners.get(topic) ?? []) called.add(listener);
  for (const listener of called) listener();
}

export async function reloadProject(): Promise<void> {
  const name = project().name;
  const fresh = await api<Project>("GET", projectPath(name));
  if (state.project?.name !== name) return;
  state.project = fresh;
  changed("project");
}

const RANK: Record<Role, number> = { viewer: 0, annotator: 1, lead: 2, admin: 3 };

export function may(role: Role): boolean {
  return RANK[state.session.role] >= RANK[role];
}

/* Disables a control for those who may not use it, and says why. */
export function guard<T extends HTMLButtonElement>(control: T, role: Role): T {
  if (!may(role)) {
    control.disabled = true;
    control.title = `Only a ${role} may do this; you are a ${state.session.role}.`;
  }
  return control;
}

const N_COLOURS = 16;

/* A class keeps its colour: its place among the project's classes. */
export function classIndex(name: string): string {
  const index = project().classes.findIndex((one) => one.name === name);
  return index < 0 ? "none" : String(index % N_COLOURS);
}
