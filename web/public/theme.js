// Before the first paint, so that a chosen theme does not flash the other one. The toggle is in src/theme.ts.
try {
  const theme = localStorage.getItem("gleaner.theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is off: the system's preference holds.
}
