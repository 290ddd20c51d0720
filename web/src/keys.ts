/*
 * Keyboard shortcuts: a list that both the listener and the help overlay read. Keys of the page rest while someone
 * types or a dialog is open; keys of a section (`where`) work while the focus is inside it.
 */
import { dialogIsOpen, openDialog, type OpenDialog } from "./dialog";
import { h } from "./dom";
import { undoLatest } from "./toast";

export interface Shortcut {
  keys: string[];
  words: string;
  group: string;
  run?: () => void;
}

let shortcuts: Shortcut[] = [];

export function setShortcuts(list: Shortcut[]): void {
  shortcuts = list;
}

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button", "submit", "range"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

export function showHelp(): OpenDialog {
  const dialog = openDialog(h("h2", {}, "Keyboard"), { class: "help", label: "Keyboard shortcuts" });
  for (const group of new Set(shortcuts.map((one) => one.group))) {
    const list = h("dl", {});
    for (const one of shortcuts.filter((each) => each.group === group)) {
      const keys = h("dt", {});
      one.keys.forEach((key) => keys.append(h("kbd", {}, key)));
      list.append(h("div", {}, keys, h("dd", {}, one.words)));
    }
    dialog.body.append(h("section", {}, h("h3", {}, group), list));
  }
  return dialog;
}

export function listen(): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey) return;
    if ((event.ctrlKey || event.metaKey) && event.key === "z" && !isTyping(event.target)) {
      if (undoLatest()) event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || isTyping(event.target) || dialogIsOpen()) return;
    const found = shortcuts.find((one) => one.run !== undefined && one.keys.includes(event.key));
    if (found?.run === undefined) return;
    event.preventDefault();
    found.run();
  });
}
