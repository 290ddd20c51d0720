/* Another label for one image, with an undo that brings back the former one as it was: its class, annotator and source. */
import { api, projectPath } from "./api";
import { changed, project, reloadProject } from "./state";
import { report, toast } from "./toast";
import type { ImageDetail, Label, LabelAnswer } from "./types";

type Given = Pick<Label, "class" | "annotator" | "source">;

async function send(image: number, given: { class: string | null; annotator?: string; source: string }): Promise<void> {
  const { source, ...label } = given;
  const answer = await api<LabelAnswer>("POST", projectPath(project().name, "/labels"), {
    body: { labels: [{ image, ...label }], source },
  });
  const rejected = answer.rejected[0];
  if (rejected !== undefined) throw new Error(rejected.detail);
  changed("clusters", "balance", "batch", "insight");
  void reloadProject();
}

/* A proposed label never takes the place of another, so the one that stands has to end first. */
async function restore(image: number, before: Given | undefined): Promise<void> {
  if (before === undefined || before.source === "proposed") await send(image, { class: null, source: "human" });
  if (before !== undefined)
    await send(image, { class: before.class, annotator: before.annotator, source: before.source });
}

/* name: the class, or null to retract. then: after each change, the undo's included. */
export async function relabel(image: number, name: string | null, then: () => void = () => undefined): Promise<void> {
  const { history } = await api<ImageDetail>("GET", projectPath(project().name, `/images/${image}`));
  const before: Given | undefined = history.find((one) => one.ended === null);
  await send(image, { class: name, source: "human" });
  then();
  const undo = (): void => {
    restore(image, before).then(then).catch(report);
  };
  toast(name === null ? "Label retracted." : `Labelled ${name}.`, { undo });
}
