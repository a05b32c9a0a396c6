// Runs before Gradio and before the first paint: language, the saved theme, and a place where components wait for main.js.
(() => {
  const waiting = [];
  window.fireside = { waiting, attach: (...component) => waiting.push(component) };
  const root = document.documentElement;
  // Gradio changes `lang` as it starts, and knows only the browser's language.
  root.dataset.language = root.lang;
  Object.defineProperty(Navigator.prototype, "language", { get: () => root.dataset.language });
  Object.defineProperty(Navigator.prototype, "languages", { get: () => [root.dataset.language] });
  let theme = null;
  try {
    theme = localStorage.getItem("fireside.theme");
  } catch {
    // Storage may be switched off; the system's theme applies then.
  }
  const dark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.classList.toggle("fs-dark", dark);
  // Gradio reads its theme from the address; shell.js takes it out again.
  const address = new URL(location.href);
  address.searchParams.set("__theme", dark ? "dark" : "light");
  history.replaceState(history.state, "", address);
})();
