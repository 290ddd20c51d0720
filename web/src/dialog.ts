/* Modal dialogs on the browser's own <dialog>: it traps the focus, closes on Escape and gives the focus back. */
import { button, h, type Child } from "./dom";
import { placeToasts } from "./toast";

export interface OpenDialog {
  element: HTMLDialogElement;
  body: HTMLElement;
  close(): void;
}

export function openDialog(
  title: Child,
  options: { class?: string; label: string; actions?: Child[]; onclose?: () => void },
): OpenDialog {
  const body = h("div", { class: "dialog-body", tabindex: -1, autofocus: true });
  const element = h(
    "dialog",
    { class: options.class ?? "", "aria-label": options.label },
    h(
      "header",
      { class: "dialog-head" },
      h("div", { class: "dialog-title" }, title),
      ...(options.actions ?? []),
      button("×", () => element.close(), { class: "quiet close", "aria-label": "Close" }),
    ),
    body,
  );
  element.addEventListener("close", () => {
    element.remove();
    placeToasts();
    options.onclose?.();
  });
  element.addEventListener("click", (event) => {
    if (event.target === element) element.close();
  });
  document.body.append(element);
  element.showModal();
  placeToasts();
  return { element, body, close: () => element.close() };
}

/* Asks before something that cannot be taken back. */
export function confirmed(question: string, words: string, yes: string): Promise<boolean> {
  return new Promise((resolve) => {
    let answer = false;
    const dialog = openDialog(h("h2", {}, question), { class: "confirm", label: question, onclose: () => resolve(answer) });
    const go = button(
      yes,
      () => {
        answer = true;
        dialog.close();
      },
      { class: "danger" },
    );
    dialog.body.append(
      h("p", {}, words),
      h("div", { class: "row end" }, button("Keep", () => dialog.close()), go),
    );
    go.focus();
  });
}

export function dialogIsOpen(): boolean {
  return document.querySelector("dialog[open]") !== null;
}
