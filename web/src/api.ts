/*
 * The one place that talks to the server. Every call gives the parsed answer or throws a Problem whose message is a
 * sentence for a person; a 401 is also told to `onLoggedOut`, because it concerns the whole page.
 */
import type { Session } from "./types";

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    detail: string,
    readonly pointer: string | null = null,
  ) {
    super(detail);
  }
}

export interface CallOptions {
  query?: Record<string, string | number | boolean | null | undefined>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

let csrf = "";
let loggedOut: () => void = () => undefined;

export function onLoggedOut(handler: () => void): void {
  loggedOut = handler;
}

export async function openSession(): Promise<Session> {
  const session = await api<Session>("GET", "/v1/session");
  csrf = session.csrf ?? "";
  return session;
}

export async function api<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value !== null && value !== undefined) query.set(name, String(value));
  }
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (method !== "GET" && csrf !== "") headers["X-Gleaner-CSRF"] = csrf;
  const init: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store" };
  if (options.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(options.body);
  }
  if (options.signal !== undefined) init.signal = options.signal;

  let response: Response;
  try {
    response = await fetch(query.size > 0 ? `${path}?${query}` : path, init);
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    throw new Problem(0, "unreachable", "The server does not answer. Is `gleaner serve` still running?");
  }
  if (response.ok) return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
  if (response.status === 401) loggedOut();
  throw await problemOf(response);
}

async function problemOf(response: Response): Promise<Problem> {
  const fallback = `The server answered ${response.status}${response.statusText === "" ? "" : ` (${response.statusText})`}.`;
  try {
    const body = (await response.json()) as { type?: string; title?: string; detail?: string; pointer?: string };
    return new Problem(response.status, body.type ?? "", body.detail ?? body.title ?? fallback, body.pointer ?? null);
  } catch {
    return new Problem(response.status, "", fallback);
  }
}

/* An Idempotency-Key. The same request sent twice is answered the same, so a retry after a lost answer costs nothing. */
export function freshKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/* What to show for anything thrown. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function projectPath(project: string, rest = ""): string {
  return `/v1/projects/${encodeURIComponent(project)}${rest}`;
}

export function thumbnailUrl(project: string, image: number): string {
  return projectPath(project, `/images/${image}/thumbnail`);
}

export function originalUrl(project: string, image: number): string {
  return projectPath(project, `/images/${image}/original`);
}
