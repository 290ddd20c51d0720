/*
 * Short messages at the bottom, some with an undo. While a dialog is open everything outside of it is inert, so the
 * toasts live in the topmost dialog and move back when it closes.
 */
import { Problem, sentence } from "./api";
import { button, h, prose } from "./dom";

const region = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
let latestUndo: (() => void) | null = null;

export function placeToasts(): void {
  const open = document.querySelectorAll<HTMLDialogElement>("dialog[open]");
  const host = open.item(open.length - 1) ?? document.body;
  if (region.parentElement !== host) host.append(region);
}

export interface ToastOptions {
  kind?: "info" | "error";
  undo?: () => void;
}

export function toast(text: string, options: ToastOptions = {}): void {
  placeToasts();
  const element = h("div", { class: `toast ${options.kind ?? "info"}` }, h("span", {}, ...prose(text)));
  let timer = 0;
  const close = (): void => {
    window.clearTimeout(timer);
    if (latestUndo === undo) latestUndo = null;
    element.remove();
  };
  const undo =
    options.undo === undefined
      ? null
      : (): void => {
          close();
          options.undo?.();
        };
  if (undo !== null) {
    element.append(button("Undo", undo, { "aria-keyshortcuts": "Control+Z" }));
    latestUndo = undo;
  }
  element.append(button("×", close, { class: "close", "aria-label": "Dismiss" }));
  const wait = (): void => {
    timer = window.setTimeout(close, options.kind === "error" ? 12000 : 8000);
  };
  for (const event of ["pointerenter", "focusin"]) element.addEventListener(event, () => window.clearTimeout(timer));
  for (const event of ["pointerleave", "focusout"]) element.addEventListener(event, wait);
  region.append(element);
  while (region.childElementCount > 4) region.firstElementChild?.remove();
  wait();
}

/* Says what went wrong; a lost log-in is the whole page's business and said there. */
export function report(error: unknown): void {
  if (error instanceof Problem && error.status === 401) return;
  toast(sentence(error), { kind: "error" });
}

/* Ctrl+Z: the undo of the newest toast that has one. */
export function undoLatest(): boolean {
  if (latestUndo === null) return false;
  latestUndo();
  return true;
}
