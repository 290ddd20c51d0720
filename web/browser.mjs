/*
 * Debian's Chromium through playwright-core, for the dashboard's test and for pictures of it. The packages lie where
 * the build installed them: $GLN_BINARY_DIR/web, or node_modules here after an `npm ci`.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const builds = [process.env.GLN_BINARY_DIR, join(here, "..", "build", "release")].filter((folder) => folder !== undefined);

export const chromiumPath = process.env.GLN_CHROMIUM ?? "/usr/bin/chromium";

/* The folder whose node_modules holds what package-lock.json lists, or null. */
export function packagesFolder() {
  const folders = [...builds.map((folder) => join(resolve(folder), "web")), here];
  return folders.find((folder) => existsSync(join(folder, "node_modules", "playwright-core"))) ?? null;
}

export function requirePackage(name) {
  const folder = packagesFolder();
  if (folder === null) throw new Error("The packages of web/ are not installed: build gleaner with GLN_WEB=ON, or run `npm ci` in web/.");
  return createRequire(join(folder, "package.json"))(name);
}

/* A browser with a fresh profile that talks to nobody but the page's server. */
export async function launchChromium() {
  const { chromium } = requirePackage("playwright-core");
  return chromium.launch({
    executablePath: chromiumPath,
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
