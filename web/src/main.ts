/* The page: who is looking, which project, and the sections of it. */
import "./style.css";
import "./insight.css";
import { Problem, api, onLoggedOut, openSession } from "./api";
import { BalancePanel } from "./balance";
import { BatchPanel } from "./batch";
import { BudgetPanel } from "./budget";
import { ChecksPanel } from "./checks";
import { Clusters } from "./clusters";
import { button, h, icon, prose, replace, svg } from "./dom";
import { DriftPanel } from "./drift";
import { ForecastPanel } from "./forecast";
import { count } from "./format";
import { listen, setShortcuts, showHelp } from "./keys";
import { Overview } from "./overview";
import { Pages, type Page } from "./pages";
import { empty, failure, type PagePanel } from "./panel";
import { ProposalsPanel } from "./proposals";
import { openRefusals } from "./refusals";
import { Runs, startResample } from "./runs";
import { changed, clearListeners, on, project, state } from "./state";
import { toggleTheme } from "./theme";
import { report } from "./toast";
import type { List, Project } from "./types";

const MOON = "M13.5 9.5a5.5 5.5 0 0 1-7-7 5.5 5.5 0 1 0 7 7z";

const app = document.getElementById("app")!;
let closePage: () => void = () => undefined;

function logo(): HTMLElement {
  const mark = svg("svg", { viewBox: "0 0 32 32", class: "mark", "aria-hidden": "true" });
  mark.append(
    svg("path", { d: "M16 28V10", class: "stem" }),
    svg("path", { d: "M16 13c-4 0-6-2.5-6-6 4 0 6 2.5 6 6zM16 13c4 0 6-2.5 6-6-4 0-6 2.5-6 6zM16 21c-4 0-6-2.5-6-6 4 0 6 2.5 6 6zM16 21c4 0 6-2.5 6-6-4 0-6 2.5-6 6z", class: "grain" }),
  );
  return h("span", { class: "logo" }, mark, h("span", {}, "gleaner"));
}

function themeButton(): HTMLElement {
  const toggle = button("", toggleTheme, { class: "quiet square", "aria-label": "Light or dark theme", title: "Light or dark (T)" });
  toggle.append(icon(MOON));
  return toggle;
}

/* A page with one message: before anything can be shown, or instead of it. */
function showMessage(...content: HTMLElement[]): void {
  closePage();
  closePage = () => undefined;
  setShortcuts([{ keys: ["t"], words: "Light or dark", group: "Page", run: toggleTheme }]);
  replace(app, h("header", { class: "top" }, h("div", { class: "top-row" }, logo(), h("span", { class: "spring" }), themeButton())), h("main", { class: "message" }, ...content));
}

function showLogin(): void {
  document.title = "Log in – gleaner";
  showMessage(
    h("h1", {}, "Log in with the link from the terminal"),
    h("p", {}, ...prose("When it starts, `gleaner serve` prints a line that begins with “login”. Open that link in this browser. It works once and within ten minutes, and logs this browser in.")),
    h("pre", {}, h("code", {}, "$ gleaner serve --data DATA\nlistening on http://127.0.0.1:8080\nlogin http://127.0.0.1:8080/login?code=…")),
    h("p", { class: "muted" }, ...prose("Used up or too old? Start `gleaner serve` again: it prints a new one. Scripts use a token instead: `gleaner token add`.")),
    h("p", {}, button("Try again", () => void start())),
  );
}

function showNoProject(): void {
  showMessage(
    empty(
      "No project yet",
      h("p", {}, "A project is a pool of photos and the classes that they may have. Make one from the terminal:"),
      h("pre", {}, h("code", {}, "gleaner init --data DATA --project NAME --classes CLASS,CLASS\ngleaner ingest --data DATA --project NAME PHOTOS\ngleaner resample --data DATA --project NAME")),
      button("Look again", () => void start()),
    ),
  );
}

async function start(): Promise<void> {
  try {
    state.session = await openSession();
    const { items } = await api<List<Project>>("GET", "/v1/projects", { query: { limit: 1000 } });
    const wanted = new URLSearchParams(location.search).get("project");
    const first = items.find((one) => one.name === wanted) ?? items[0];
    if (first === undefined) showNoProject();
    else showProject(first, items);
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return;
    showMessage(failure(error, () => void start()));
  }
}

async function logOut(): Promise<void> {
  try {
    await api<void>("DELETE", "/v1/session");
    showLogin();
  } catch (error) {
    report(error);
  }
}

function showKeys(): void {
  const { role, version } = state.session;
  const dialog = showHelp();
  dialog.body.append(
    h(
      "p",
      { class: "row muted about" },
      h("span", {}, `gleaner ${version}, logged in as ${role}`),
      button("Log out", () => {
        dialog.close();
        void logOut();
      }),
    ),
  );
}

function projectChoice(all: readonly Project[]): HTMLElement {
  if (all.length === 1) return h("h1", { class: "project" }, project().name);
  const select = h("select", { class: "project", "aria-label": "Project" });
  for (const one of all) select.append(h("option", { value: one.name, selected: one.name === project().name }, one.name));
  select.addEventListener("change", () => {
    const url = new URL(location.href);
    url.searchParams.set("project", select.value);
    history.replaceState(null, "", url);
    void start();
  });
  return select;
}

function showCounts(counts: HTMLElement): void {
  const { images, labels, refused } = project();
  replace(
    counts,
    h("li", {}, h("strong", { class: "num" }, count(images)), " images"),
    h("li", {}, h("strong", { class: "num" }, count(labels)), " labels"),
    h("li", {}, refused === 0 ? h("span", {}, h("strong", { class: "num" }, "0"), " refused") : button(`${count(refused)} refused`, openRefusals, { class: "link" })),
  );
}

function pageOf(path: string, title: string, key: string, panel: PagePanel): Page {
  return { path, title, key, element: h("div", { class: "view" }, panel.element), shown: () => panel.shown() };
}

function showProject(opened: Project, all: readonly Project[]): void {
  closePage();
  clearListeners();
  state.project = opened;

  const runs = new Runs();
  const overview: Overview = new Overview(() => pages);
  const batch = new BatchPanel();
  const clusters = new Clusters();
  const balance = new BalancePanel();
  const budget = new BudgetPanel();
  const side = h("aside", { class: "side", "aria-label": "Balance and budget" }, balance.element, budget.element);
  // Whoever came to label sees the batch first; everybody else what it is for.
  const sections = state.session.role === "annotator" ? [batch.element, overview.element, clusters.element] : [overview.element, batch.element, clusters.element];
  const home = h("div", { class: `page ${state.session.role}` }, h("div", { class: "wide" }, ...sections), side);
  const pages: Pages = new Pages(
    [
      { path: "", title: "Overview", key: "o", element: home, shown: () => undefined },
      pageOf("forecast", "Forecast", "f", new ForecastPanel()),
      pageOf("label-checks", "Label checks", "l", new ChecksPanel()),
      pageOf("drift", "Drift", "d", new DriftPanel()),
      pageOf("proposals", "Proposals", "p", new ProposalsPanel((...note) => pages.note("proposals", ...note))),
    ],
    opened.name,
  );
  const counts = h("ul", { class: "counts", "aria-label": "Size of the project" });
  on("project", () => showCounts(counts));
  closePage = () => {
    runs.stop();
    batch.stop();
    pages.stop();
  };

  const atHome = (go: () => void) => () => {
    pages.go("");
    go();
  };
  const jump = (element: HTMLElement): (() => void) =>
    atHome(() => {
      element.scrollIntoView({ block: "start" });
      element.focus({ preventScroll: true });
    });
  const toBatch = atHome(() => batch.focus());
  on("wish", toBatch);
  const skip = (event: Event): void => {
    event.preventDefault();
    toBatch();
  };
  const help = button("?", showKeys, { class: "quiet square", "aria-label": "Keyboard and session", title: "Keyboard and session (?)" });
  replace(
    app,
    h("a", { class: "skip", href: "#batch", onclick: skip }, "Skip to the batch"),
    h("header", { class: "top" }, h("div", { class: "top-row" }, logo(), projectChoice(all), counts, h("span", { class: "spring" }), runs.element, runs.resample, themeButton(), help), pages.nav),
    pages.main,
  );

  setShortcuts([
    { group: "Page", keys: ["o"], words: "Overview", run: () => pages.go("") },
    { group: "Page", keys: ["f"], words: "Forecast", run: () => pages.go("forecast") },
    { group: "Page", keys: ["l"], words: "Labels that look wrong", run: () => pages.go("label-checks") },
    { group: "Page", keys: ["d"], words: "Drift", run: () => pages.go("drift") },
    { group: "Page", keys: ["p"], words: "Proposals: labels for many images at once", run: () => pages.go("proposals") },
    { group: "Page", keys: ["b"], words: "Go to the batch", run: toBatch },
    { group: "Page", keys: ["c"], words: "Go to the clusters", run: atHome(() => clusters.focus()) },
    { group: "Page", keys: ["a"], words: "Go to the balance", run: jump(balance.element) },
    { group: "Page", keys: ["m"], words: "Go to the budget (money)", run: jump(budget.element) },
    { group: "Page", keys: ["R"], words: "Resample (Shift + R)", run: () => void startResample() },
    { group: "Page", keys: ["t"], words: "Light or dark", run: toggleTheme },
    { group: "Page", keys: ["Ctrl", "Z"], words: "Undo what the newest message offers" },
    { group: "Page", keys: ["?"], words: "This list", run: showKeys },
    { group: "Labelling", keys: ["1", "…", "9"], words: "Pick the class for this image and move on" },
    { group: "Labelling", keys: ["P"], words: "Pick the predicted class" },
    { group: "Labelling", keys: ["/"], words: "Find a class by name (more than nine)" },
    { group: "Labelling", keys: ["←", "→", "↑", "↓"], words: "Move over the batch" },
    { group: "Labelling", keys: ["U"], words: "Undo the last pick" },
    { group: "Labelling", keys: ["⌫"], words: "Clear this image's pick" },
    { group: "Labelling", keys: ["Enter"], words: "Details of this image" },
    { group: "Labelling", keys: ["⇧", "Enter"], words: "Return what is picked" },
    { group: "Labels that look wrong", keys: ["↑", "↓"], words: "Move" },
    { group: "Labels that look wrong", keys: ["R"], words: "Relabel as suggested" },
    { group: "Labels that look wrong", keys: ["K"], words: "Keep the label: it is right" },
    { group: "Clusters and images", keys: ["Enter"], words: "Open" },
    { group: "Clusters and images", keys: ["F2"], words: "Rename the cluster" },
    { group: "Clusters and images", keys: ["←", "→"], words: "Previous, next image" },
    { group: "Clusters and images", keys: ["O"], words: "Original or thumbnail" },
    { group: "Clusters and images", keys: ["Esc"], words: "Close" },
  ]);

  batch.element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.shiftKey) return;
    event.preventDefault();
    void batch.returnLabels();
  });

  showCounts(counts);
  changed("batch", "clusters", "balance", "ledger");
  void overview.refresh();
  pages.start();
  runs.start();
}

onLoggedOut(showLogin);
listen();
void start();
