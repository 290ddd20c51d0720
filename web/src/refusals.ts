/* The files that were not taken, by name and with the reason. */
import { api, projectPath, sentence } from "./api";
import { openDialog } from "./dialog";
import { button, h, replace } from "./dom";
import { count } from "./format";
import { project } from "./state";
import type { List, Refusal } from "./types";

/* A reason may begin with the file's name, which stands above it. */
function reasonAlone({ path, reason }: Refusal): string {
  return reason.startsWith(`${path}: `) ? reason.slice(path.length + 2) : reason;
}

export function openRefusals(): void {
  const dialog = openDialog(h("h2", {}, `Refused files (${count(project().refused)})`), { class: "refusals", label: "Refused files" });
  const list = h("ul", { class: "refusal-list" });
  const foot = h("div", {});
  dialog.body.append(list, foot);
  const more = async (after: string | null): Promise<void> => {
    replace(foot, h("p", { class: "muted", role: "status" }, "Loading…"));
    try {
      const answer = await api<List<Refusal>>("GET", projectPath(project().name, "/refusals"), { query: { limit: 100, after } });
      for (const one of answer.items) list.append(h("li", {}, h("span", { class: "path" }, one.path), h("span", { class: "muted" }, reasonAlone(one))));
      replace(foot, answer.next !== null && button("Load more", () => void more(answer.next)));
    } catch (error) {
      replace(foot, h("p", { class: "error", role: "alert" }, sentence(error)), button("Try again", () => void more(after)));
    }
  };
  void more(null);
}
