/* Labelled, wanted and predicted shares of each class side by side, and one number for how even the labels are. */
import { api, projectPath } from "./api";
import { className } from "./classes";
import { h, prose, replace, svg } from "./dom";
import { count, effectiveTargets, entropyWords, percent, plural } from "./format";
import { Panel, empty } from "./panel";
import { classIndex, on, project } from "./state";
import type { Balance } from "./types";

export class BalancePanel extends Panel {
  constructor() {
    super("balance", "Balance", 4);
    on("balance", () => void this.refresh());
  }

  async refresh(): Promise<void> {
    await this.load(
      () => api<Balance>("GET", projectPath(project().name, "/balance")),
      (answer) => this.show(answer),
    );
  }

  private show(balance: Balance): void {
    if (balance.classes.length === 0) {
      replace(this.body, empty("No classes yet", h("p", {}, ...prose("Classes come with `gleaner init --classes`, or with imported labels."))));
      return;
    }
    const targets = effectiveTargets(balance.classes.map((one) => one.target_share));
    const predicted = balance.classes.reduce((sum, one) => sum + one.predicted, 0);
    const predictedShare = (n: number): number => (predicted === 0 ? 0 : n / predicted);
    const widest = Math.max(...balance.classes.map((one) => Math.max(one.share, predictedShare(one.predicted))), ...targets, 0.01);
    const x = (share: number): string => `${(share / widest) * 96}%`;

    const rows = h("ul", { class: balance.classes.length > 8 ? "balance-rows dense" : "balance-rows" });
    balance.classes.forEach((one, i) => {
      const target = targets[i] ?? 0;
      const guess = predictedShare(one.predicted);
      const words = `${one.class}: ${count(one.labelled)} labelled, ${percent(one.share)}; target ${percent(target)}; ${count(one.predicted)} predicted, ${percent(guess)} of the predictions`;
      const bars = svg(
        "svg",
        { class: "bars", role: "img", "aria-label": words },
        svg("title", {}, words),
        svg("rect", { class: "track", x: 0, y: 3, width: "100%", height: 8, rx: 2 }),
        svg("rect", { class: "labelled", "data-class": classIndex(one.class), x: 0, y: 3, width: x(one.share), height: 8, rx: 2 }),
        svg("rect", { class: "predicted", "data-class": classIndex(one.class), x: 0, y: 13, width: x(guess), height: 4, rx: 2 }),
        svg("rect", { class: "target", x: x(target), y: 0, width: 2, height: 14 }),
      );
      rows.append(
        h(
          "li",
          {},
          className(one.class),
          h("span", { class: "num", title: "labels" }, count(one.labelled)),
          h("span", { class: "num muted", title: "share of the labels" }, percent(one.share)),
          bars,
        ),
      );
    });

    replace(
      this.body,
      h(
        "div",
        { class: "entropy" },
        h("span", { class: "big num" }, balance.labels === 0 ? "–" : balance.entropy.toFixed(2)),
        h(
          "div",
          {},
          h("p", {}, entropyWords(balance.entropy, balance.labels)),
          balance.labels > 0 && h("p", { class: "muted" }, `Evenness of ${plural(balance.labels, "label")}: 1 is all classes equal, 0 is a single class (normalised entropy).`),
        ),
      ),
      h(
        "ul",
        { class: "legend" },
        h("li", {}, h("span", { class: "key labelled", "aria-hidden": "true" }), "labelled"),
        h("li", {}, h("span", { class: "key predicted", "aria-hidden": "true" }), "predicted"),
        h("li", {}, h("span", { class: "key target", "aria-hidden": "true" }), "target"),
      ),
      rows,
    );
  }
}
