/* A real gleaner on a free port, with real photos in a scratch folder. */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

const deps = process.env.GLN_DEPS || join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "gleaner", "deps");
export const GLEANER = join(process.env.GLN_BINARY_DIR ?? "build/release", "cli", "gleaner");
export const BACKBONE = join(deps, "backbones", "efficientnet-lite0.json");
export const STAMPS = "/usr/share/tuxpaint/stamps";

/* folders: below STAMPS. Nothing is resampled unless asked for. */
export function makeData({ project, classes, folders, resample }) {
  const folder = mkdtempSync(join(tmpdir(), "gleaner-web-"));
  const data = join(folder, "data");
  const run = (command, ...rest) => execFileSync(GLEANER, [command, "--data", data, ...rest], { stdio: ["ignore", "pipe", "pipe"] });
  const more = ["--price", "0.05", "--seconds", "3"];
  run("init", "--backbone", BACKBONE, "--project", project, "--classes", classes.join(","), ...more);
  run("ingest", "--project", project, ...folders.map((name) => join(STAMPS, name)));
  if (resample) run("resample", "--project", project);
  return { data, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/* Starts `gleaner serve` with more arguments, if any; the answer has its address, a log-in link, and a way to stop exactly this process. */
export function serve(data, ...more) {
  const server = spawn(GLEANER, ["serve", "--data", data, "--port", "0", ...more], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  const stop = async () => {
    server.kill("SIGTERM");
    await ended;
  };
  return new Promise((resolve, reject) => {
    let out = "";
    let err = "";
    server.stderr.on("data", (chunk) => (err += chunk));
    server.once("exit", (code) => reject(new Error(`gleaner serve ended with ${code}: ${err}`)));
    server.stdout.on("data", (chunk) => {
      out += chunk;
      const url = out.match(/^listening on (\S+)$/m)?.[1];
      const login = out.match(/^login (\S+)$/m)?.[1];
      if (url !== undefined && login !== undefined) resolve({ url, login, stop });
    });
  });
}
