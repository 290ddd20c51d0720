/*
 * The run that is going on, in the header: asked for every second while there is one, every five seconds otherwise, not
 * at all while nobody looks. When a run ends, everything that it may have changed loads again.
 */
import { Problem, api, projectPath, sentence } from "./api";
import { button, h, replace } from "./dom";
import { ago, count, span } from "./format";
import { changed, guard, may, on, project, reloadProject, state } from "./state";
import { report, toast } from "./toast";
import type { List, Run } from "./types";

const BUSY_MS = 1000;
const IDLE_MS = 5000;

function isActive(run: Run | undefined): run is Run {
  return run !== undefined && (run.state === "queued" || run.state === "running");
}

export async function startResample(): Promise<void> {
  if (!may("lead")) {
    toast(`Only a lead may resample; you are a ${state.session.role}.`, { kind: "error" });
    return;
  }
  try {
    await api<Run>("POST", projectPath(project().name, "/runs"), { body: { kind: "resample" } });
    changed("runs");
  } catch (error) {
    report(error);
  }
}

/* The same as a button where it is the next thing to do; while a run is going, words instead. */
export function resampleNow(look: string): HTMLElement {
  return h(
    "div",
    {},
    guard(button("Resample now", () => void startResample(), { class: `${look} when-idle` }), "lead"),
    h("span", { class: "when-running" }, "A run is going on; the bar at the top shows how far it is."),
  );
}

const ENDINGS: Record<string, string> = { failed: "failed", cancelled: "was stopped", interrupted: "was cut off; start it again" };

export class Runs {
  readonly element = h("div", { class: "run" });
  readonly resample = guard(button("Resample", () => void startResample(), { "aria-keyshortcuts": "Shift+R" }), "lead");
  private active: number | null = null;
  private newest: number | null = null; // null until the first answer
  private timer = 0;
  private turn = 0;
  private drawn = "";

  constructor() {
    on("runs", () => void this.poll());
  }

  start(): void {
    document.addEventListener("visibilitychange", this.wake);
    void this.poll();
  }

  stop(): void {
    document.removeEventListener("visibilitychange", this.wake);
    window.clearTimeout(this.timer);
    this.turn++;
  }

  private readonly wake = (): void => {
    if (!document.hidden) void this.poll();
  };

  private async poll(): Promise<void> {
    const turn = ++this.turn;
    window.clearTimeout(this.timer);
    let pause = IDLE_MS;
    try {
      const { items } = await api<List<Run>>("GET", projectPath(project().name, "/runs"), { query: { limit: 10 } });
      if (turn !== this.turn) return;
      const run = items.find(isActive);
      const newest = items[0];
      // A short run may begin and end between two questions.
      const missed = run === undefined && this.active === null && this.newest !== null && newest !== undefined && newest.id > this.newest;
      if (this.active !== null && this.active !== run?.id) this.ended(items.find((one) => one.id === this.active));
      else if (missed) this.ended(newest);
      this.active = run?.id ?? null;
      this.newest = newest?.id ?? 0;
      if (run !== undefined) pause = BUSY_MS;
      this.show(run, newest);
    } catch (error) {
      if (turn !== this.turn) return;
      if (error instanceof Problem && error.status === 401) return;
      this.drawn = "";
      replace(this.element, h("span", { class: "run-words error", role: "status" }, sentence(error)));
    }
    if (!document.hidden) this.timer = window.setTimeout(() => void this.poll(), pause);
  }

  private ended(run: Run | undefined): void {
    if (run !== undefined && run.state !== "done") {
      toast(`The ${run.kind} ${ENDINGS[run.state] ?? run.state}. ${run.message}`, { kind: "error" });
    } else if (run !== undefined) {
      toast(`The ${run.kind} is done.`);
    }
    // The project first: whether it has a published run decides what the others show.
    void reloadProject()
      .catch(report)
      .then(() => changed("clusters", "balance", "batch", "insight"));
  }

  private show(run: Run | undefined, newest: Run | undefined): void {
    this.resample.hidden = run !== undefined;
    document.body.classList.toggle("running", run !== undefined);
    if (run === undefined) {
      const words = newest === undefined ? "" : `${newest.kind} ${newest.state}, ${ago(newest.ended ?? newest.created, Date.now())}`;
      const key = `idle ${newest?.id} ${words}`;
      if (key === this.drawn) return;
      this.drawn = key;
      const failed = newest !== undefined && newest.state !== "done";
      replace(this.element, h("span", { class: failed ? "run-words error" : "run-words muted", title: newest?.message ?? "" }, words));
      return;
    }
    const known = run.total > 0;
    const progress = h("progress", { max: known ? run.total : 1, "aria-label": `Progress of the ${run.kind}` });
    if (known) progress.value = run.done;
    const words = [run.stage === "" ? run.state : run.stage];
    if (known) words.push(`${count(run.done)} of ${count(run.total)}`);
    if (run.seconds_left !== null && run.seconds_left > 0) words.push(`${span(run.seconds_left)} left`);
    const old = this.element.querySelector("progress");
    if (this.drawn === `run ${run.id}` && old !== null) {
      // Only values change, so that the focus stays on the button.
      old.replaceWith(progress);
      this.element.querySelector(".run-words")!.textContent = words.join(" · ");
      return;
    }
    this.drawn = `run ${run.id}`;
    replace(
      this.element,
      h("strong", {}, run.kind),
      progress,
      h("span", { class: "run-words muted num" }, words.join(" · ")),
      guard(button("Stop", () => void this.cancel(run.id), { class: "quiet" }), "lead"),
    );
  }

  private async cancel(id: number): Promise<void> {
    try {
      await api<Run>("DELETE", projectPath(project().name, `/runs/${id}`));
      void this.poll();
    } catch (error) {
      report(error);
    }
  }
}
