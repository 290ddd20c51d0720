/* Numbers, times and shares as words: pure functions, tested by tests/web/pure.test.mjs. */

const whole = new Intl.NumberFormat("en");

export function count(n: number): string {
  return whole.format(n);
}

/* plural(1, "image") is "1 image", plural(2, "batch", "batches") is "2 batches". */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 1) return "<1 %";
  if (value > 99 && value < 100) return ">99 %";
  return `${Math.round(value)} %`;
}

export function money(amount: number, currency: string): string {
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency }).format(amount);
  } catch {
    return `${amount.toFixed(2)} ${currency}`;
  }
}

export function minutes(value: number): string {
  if (value < 0.5 / 60) return "0 min";
  if (value < 1) return `${Math.max(1, Math.round(value * 60))} s`;
  if (value < 90) return `${Math.round(value)} min`;
  return `${(value / 60).toFixed(1)} h`;
}

/* A span for people who wait: "40 s", "12 min", "3 h 05 min", "2 days". */
export function span(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min`;
  const hours = Math.floor(m / 60);
  if (hours < 48) return `${hours} h ${String(m % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} days`;
}

export function ago(at: string, now: number): string {
  const seconds = (now - Date.parse(at)) / 1000;
  if (!Number.isFinite(seconds)) return "";
  return seconds < 10 ? "just now" : `${span(seconds)} ago`;
}

export function bytes(n: number): string {
  if (n < 1024) return `${n} bytes`;
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(0)} KiB`;
  return `${(n / 1024 / 1024).toFixed(1)} MiB`;
}

export function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1) || path;
}

/* Normalised entropy of the labelled classes, for someone who has never heard of it. */
export function entropyWords(entropy: number, labels: number): string {
  if (labels === 0) return "Nothing is labelled yet, so there is no balance to judge.";
  if (entropy >= 0.97) return "The labels are spread evenly over the classes.";
  if (entropy >= 0.85) return "Nearly even: a few classes have more labels than others.";
  if (entropy >= 0.6) return "Uneven: some classes have several times the labels of others.";
  if (entropy > 0.05) return "Lopsided: most labels fall on a few classes.";
  return "All labels are of one class.";
}

/* What each class is wanted to be: shares that were not given divide what is left equally. */
export function effectiveTargets(given: readonly (number | null)[]): number[] {
  const rest = Math.max(0, 1 - given.reduce<number>((sum, share) => sum + (share ?? 0), 0));
  const open = given.filter((share) => share === null).length;
  return given.map((share) => share ?? rest / open);
}

export interface MixPart {
  class: string;
  labelled: number;
  predicted: number;
}

export interface MixSegment {
  class: string;
  kind: "labelled" | "predicted" | "unknown";
  n: number;
  share: number;
}

/* A cluster's bar: what is labelled, class by class, then what is only predicted, then what nobody can say. */
export function mixSegments(parts: readonly MixPart[], size: number): MixSegment[] {
  const segments: MixSegment[] = [];
  let known = 0;
  const total = Math.max(size, parts.reduce((sum, part) => sum + part.labelled + part.predicted, 0));
  if (total === 0) return segments;
  for (const kind of ["labelled", "predicted"] as const) {
    for (const part of parts) {
      const n = part[kind];
      if (n <= 0) continue;
      known += n;
      segments.push({ class: part.class, kind, n, share: n / total });
    }
  }
  if (known < total) segments.push({ class: "", kind: "unknown", n: total - known, share: (total - known) / total });
  return segments;
}

export function verdictTitle(verdict: string): string {
  if (verdict === "good") return "The clusters hold together";
  if (verdict === "weak") return "The clusters are loose";
  if (verdict === "not-clustered") return "The pool does not fall into clusters";
  return verdict;
}

/* A change of a share in points of a hundredth, with its sign: "+1.1", "−0.3". */
export function points(share: number): string {
  const value = Math.round(share * 1000) / 10;
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
}

/* Shares that differ by less than one in a hundred: one decimal. */
export function finePercent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
