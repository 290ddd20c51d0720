/* Another label for one image, with an undo that brings back the former one as it was: its class, annotator and source. */
import { api, projectPath } from "./api";
import { changed, project, reloadProject } from "./state";
import { report, toast } from "./toast";
import type { ImageDetail, Label, LabelAnswer } from "./types";

type Given = Pick<Label, "class" | "annotator" | "source">;

async function send(image: number, given: { class: string | null; annotator?: string; source: string }): Promise<void> {
  const { source, ...label } = given;
  const answer = await api<LabelAnswer>("POST", projectPath(project().name, "/labels"), { body: { labels: [{ image, ...label }], source } });
  const rejected = answer.rejected[0];
  if (rejected !== undefined) throw new Error(rejected.detail);
  changed("clusters", "balance", "batch", "insight");
  void reloadProject();
}

/* name: the class, or null to retract. then: after each change, the undo's included. */
export async function relabel(image: number, name: string | null, then: () => void = () => undefined): Promise<void> {
  const { history } = await api<ImageDetail>("GET", projectPath(project().name, `/images/${image}`));
  const before: Given | undefined = history.find((one) => one.ended === null);
  await send(image, { class: name, source: "human" });
  then();
  const undo = (): void => {
    const back = before === undefined ? { class: null, source: "human" } : { class: before.class, annotator: before.annotator, source: before.source };
    send(image, back).then(then).catch(report);
  };
  toast(name === null ? "Label retracted." : `Labelled ${name}.`, { undo });
}
