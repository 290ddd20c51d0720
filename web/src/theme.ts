/* Light, dark or as the system: kept in the browser, applied before the first paint by public/theme.js. */

export type Theme = "light" | "dark";

export function currentTheme(): Theme {
  const chosen = document.documentElement.dataset["theme"];
  if (chosen === "light" || chosen === "dark") return chosen;
  return window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function toggleTheme(): Theme {
  const theme: Theme = currentTheme() === "dark" ? "light" : "dark";
  document.documentElement.dataset["theme"] = theme;
  try {
    localStorage.setItem("gleaner.theme", theme);
  } catch {
    // Storage is off: the choice lasts until the page is left.
  }
  return theme;
}
