/*
 * What has been picked in a batch and not been sent yet: pure state, kept apart from the page so that it can be tested.
 * A pick moves on to the next item that still lacks one; undo takes back picks in reverse and returns to where they
 * were made.
 */

export interface Pick {
  class: string;
  seconds: number;
}

interface Step {
  image: number;
  index: number;
  before: Pick | undefined;
}

export class Labelling {
  index = 0;
  readonly picks = new Map<number, Pick>();
  private readonly steps: Step[] = [];

  /* images: of the batch, in order; done: those whose label has been returned already. */
  constructor(
    readonly images: readonly number[],
    private readonly done: ReadonlySet<number>,
  ) {
    this.index = Math.max(0, this.next(-1));
  }

  get image(): number | undefined {
    return this.images[this.index];
  }

  isOpen(image: number): boolean {
    return !this.done.has(image);
  }

  get open(): number {
    return this.images.reduce((n, image) => n + (this.isOpen(image) ? 1 : 0), 0);
  }

  move(index: number): void {
    if (index >= 0 && index < this.images.length) this.index = index;
  }

  pick(name: string, seconds: number): boolean {
    const image = this.image;
    if (image === undefined || !this.isOpen(image)) return false;
    this.steps.push({ image, index: this.index, before: this.picks.get(image) });
    this.picks.set(image, { class: name, seconds });
    const next = this.next(this.index);
    if (next >= 0) this.index = next;
    return true;
  }

  clear(): boolean {
    const image = this.image;
    if (image === undefined) return false;
    const before = this.picks.get(image);
    if (before === undefined) return false;
    this.steps.push({ image, index: this.index, before });
    this.picks.delete(image);
    return true;
  }

  undo(): boolean {
    const step = this.steps.pop();
    if (step === undefined) return false;
    if (step.before === undefined) this.picks.delete(step.image);
    else this.picks.set(step.image, step.before);
    this.index = step.index;
    return true;
  }

  /* Picks of an earlier visit, kept by the browser; what is no longer open is left out. */
  restore(picks: Iterable<[number, Pick]>): void {
    for (const [image, pick] of picks) {
      if (this.images.includes(image) && this.isOpen(image)) this.picks.set(image, pick);
    }
    const next = this.next(-1);
    if (next >= 0) this.index = next;
  }

  /* The next item after `from` that is open and not picked, around the end; -1 when there is none. */
  private next(from: number): number {
    for (let step = 1; step <= this.images.length; step++) {
      const i = (from + step) % this.images.length;
      const image = this.images[i]!;
      if (this.isOpen(image) && !this.picks.has(image)) return i;
    }
    return -1;
  }
}

/* Seconds of attention for one item: long pauses and hidden windows are not work. */
export class Attention {
  private since: number;
  private spent = 0;

  constructor(
    now: number,
    private readonly longest = 60,
  ) {
    this.since = now;
  }

  pause(now: number): void {
    this.spent += (now - this.since) / 1000;
    this.since = now;
  }

  resume(now: number): void {
    this.since = now;
  }

  /* The seconds since the last call, at most `longest`. */
  take(now: number): number {
    this.pause(now);
    const seconds = Math.min(this.longest, Math.max(0, this.spent));
    this.spent = 0;
    return Math.round(seconds * 10) / 10;
  }
}
