/* The ledger in two lines: what open batches have reserved, and what returned labels have cost. */
import { api, projectPath } from "./api";
import { h, replace } from "./dom";
import { minutes, money } from "./format";
import { Panel } from "./panel";
import { on, project } from "./state";
import type { Ledger } from "./types";

export class BudgetPanel extends Panel {
  constructor() {
    super("budget", "Budget", 2);
    on("ledger", () => void this.refresh());
  }

  async refresh(): Promise<void> {
    await this.load(
      () => api<Ledger>("GET", projectPath(project().name, "/ledger"), { query: { limit: 1 } }),
      (answer) => this.show(answer),
    );
  }

  private show(ledger: Ledger): void {
    const { currency, classes } = project();
    const line = (term: string, words: string, amount: number, time: number): HTMLElement =>
      h(
        "div",
        { title: words },
        h("dt", {}, term),
        h("dd", { class: "num" }, h("span", { class: "big" }, money(amount, currency)), h("span", { class: "muted" }, minutes(time))),
      );
    const free = classes.every((one) => one.price === 0);
    replace(
      this.body,
      h(
        "dl",
        { class: "budget" },
        line("Reserved", "Held back for images in open batches", ledger.reserved, ledger.reserved_minutes),
        line("Charged", "Spent on labels that came back", ledger.charged, ledger.charged_minutes),
      ),
      free && h("p", { class: "muted" }, "No class has a price yet, so only time is counted."),
    );
  }
}
