/* A cluster's name, edited where it stands: Enter or leaving saves, Escape keeps the old one, and a toast can undo. */
import { api, projectPath } from "./api";
import { h, replace } from "./dom";
import { changed, may, project } from "./state";
import { report, toast } from "./toast";
import type { Cluster } from "./types";

export function clusterName(cluster: Pick<Cluster, "id" | "name">): string {
  return cluster.name === "" ? `Cluster ${cluster.id}` : cluster.name;
}

export async function describeCluster(id: number, change: { name?: string; notes?: string }): Promise<Cluster> {
  return api<Cluster>("PATCH", projectPath(project().name, `/clusters/${id}`), { body: change });
}

/* Saves a name and offers the old one back. */
async function saveName(cluster: Cluster, name: string, show: (name: string) => void): Promise<void> {
  const before = cluster.name;
  const set = async (value: string): Promise<void> => {
    const answer = await describeCluster(cluster.id, { name: value });
    cluster.name = answer.name;
    show(answer.name);
    changed("clusters");
  };
  await set(name);
  const undo = (): void => {
    set(before).catch(report);
  };
  toast(name === "" ? "Name removed." : `Renamed to “${name}”.`, { undo });
}

/* The name as a button that turns into a field. */
export function editableName(cluster: Cluster, props: Record<string, string | number> = {}): HTMLElement {
  const holder = h("span", { class: "name-edit" });
  const show = (): void => {
    const label = h("button", { type: "button", class: "name", title: "Rename (F2)", "aria-label": `Rename ${clusterName(cluster)}`, onclick: edit, ...props });
    label.append(h("span", { class: cluster.name === "" ? "muted" : "" }, clusterName(cluster)));
    if (!may("lead")) label.disabled = true;
    replace(holder, label);
  };
  const edit = (): void => {
    const field = h("input", { type: "text", class: "name", maxlength: 100, value: cluster.name, placeholder: `Cluster ${cluster.id}`, "aria-label": "Name of the cluster" });
    let ended = false;
    const end = (save: boolean, refocus: boolean): void => {
      if (ended) return;
      ended = true;
      const name = field.value.trim();
      const change = save && name !== cluster.name;
      show();
      if (refocus) holder.querySelector("button")?.focus();
      if (!change) return;
      saveName(cluster, name, show).catch(report);
    };
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" && event.key !== "Escape") return;
      // Else the same key would press the button that gets the focus.
      event.preventDefault();
      end(event.key === "Enter", true);
    });
    field.addEventListener("blur", () => end(true, false));
    replace(holder, field);
    field.focus();
    field.select();
  };
  show();
  return holder;
}
