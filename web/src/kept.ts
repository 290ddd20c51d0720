/*
 * Labels that look wrong and that a person found right. Only this browser remembers them, by image and class: another
 * label for the same image is judged anew.
 */
import { project } from "./state";
import type { LabelCheck } from "./types";

function name(check: LabelCheck): string {
  return `${check.image} ${check.given}`;
}

export class Kept {
  private readonly key = `gleaner.kept.${project().id}`;
  private readonly set: Set<string>;

  constructor() {
    let stored: unknown = [];
    try {
      stored = JSON.parse(localStorage.getItem(this.key) ?? "[]");
    } catch {
      // Storage is off or holds something else: nothing is kept yet.
    }
    this.set = new Set(Array.isArray(stored) ? stored.filter((one) => typeof one === "string") : []);
  }

  has(check: LabelCheck): boolean {
    return this.set.has(name(check));
  }

  put(check: LabelCheck, right: boolean): void {
    if (right) this.set.add(name(check));
    else this.set.delete(name(check));
    this.save();
  }

  clear(): void {
    this.set.clear();
    this.save();
  }

  private save(): void {
    try {
      localStorage.setItem(this.key, JSON.stringify([...this.set]));
    } catch {
      // Storage is off or full: it lasts as long as the page.
    }
  }
}
