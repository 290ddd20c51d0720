/* One cluster, from the side: name, notes, what it consists of, and all of its images. */
import { mixBar, swatch } from "./classes";
import { openDialog } from "./dialog";
import { button, h } from "./dom";
import { count, mixSegments, percent, plural } from "./format";
import { clusterName, describeCluster, editableName } from "./rename";
import { changed, guard, may, wish } from "./state";
import { ThumbList, type ImageFilter } from "./thumb_list";
import { report, toast } from "./toast";
import type { Cluster } from "./types";

export function openCluster(cluster: Cluster): void {
  const images = new ThumbList({ cluster: cluster.id });
  const dialog = openDialog(editableName(cluster), {
    class: "drawer",
    label: clusterName(cluster),
    onclose: () => images.stop(),
  });

  const filter = h("div", { class: "segmented", role: "group", "aria-label": "Which images" });
  const choices: [string, ImageFilter][] = [
    ["All", {}],
    ["Not labelled", { labelled: false }],
    ["Labelled", { labelled: true }],
  ];
  choices.forEach(([words, extra], i) => {
    const choice = button(words, () => {
      for (const other of filter.children) other.setAttribute("aria-pressed", String(other === choice));
      void images.start({ cluster: cluster.id, ...extra });
    }, { "aria-pressed": i === 0 ? "true" : "false" });
    filter.append(choice);
  });

  const mix = h("ul", { class: "mix-list" });
  for (const one of cluster.classes) {
    mix.append(
      h(
        "li",
        {},
        swatch(one.class, one.labelled > 0 ? "labelled" : "predicted"),
        h("span", { class: "text" }, one.class),
        h("span", { class: "muted num" }, `${count(one.labelled)} labelled, ${count(one.predicted)} predicted`),
      ),
    );
  }

  dialog.body.append(
    h(
      "p",
      { class: "facts" },
      h("span", {}, plural(cluster.size, "image")),
      h("span", {}, `${percent(cluster.size === 0 ? 0 : cluster.labelled / cluster.size)} labelled`),
      h("span", { title: "Mean distance of the members to the cluster's centre; smaller is tighter" }, `spread ${cluster.mean_distance.toFixed(2)}`),
      h("span", { class: "muted" }, `id ${cluster.id}`),
    ),
    mixBar(mixSegments(cluster.classes, cluster.size), cluster.size),
    mix,
    notes(cluster),
    h("div", { class: "row drawer-acts" }, filter, takeBatch(cluster, () => dialog.close())),
    images.element,
  );
}

/* Leads to the form for a batch from this cluster only. before: what has to be out of the way. */
export function takeBatch(cluster: Cluster, before: () => void = () => undefined): HTMLElement {
  const take = button("Take a batch from it", () => {
    before();
    wish({ cluster: { id: cluster.id, name: clusterName(cluster) } });
  });
  take.disabled = cluster.labelled >= cluster.size;
  return guard(take, "lead");
}

function notes(cluster: Cluster): HTMLElement {
  const field = h("textarea", { rows: 2, maxlength: 2000, placeholder: "What is in here, what to look out for" });
  field.value = cluster.notes;
  field.disabled = !may("lead");
  const save = guard(
    button("Save notes", () => {
      describeCluster(cluster.id, { notes: field.value })
        .then((answer) => {
          cluster.notes = answer.notes;
          save.hidden = true;
          toast("Notes saved.");
          changed("clusters");
        })
        .catch(report);
    }),
    "lead",
  );
  save.hidden = true;
  field.addEventListener("input", () => {
    save.hidden = field.value === cluster.notes;
  });
  return h("div", { class: "notes" }, h("label", {}, h("span", {}, "Notes"), field), save);
}
