// Runs before Gradio and before the first paint: the saved theme, and a place where components wait for main.js.
(() => {
  const waiting = [];
  window.fireside = { waiting, attach: (...component) => waiting.push(component) };
  let theme = null;
  try {
    theme = localStorage.getItem("fireside.theme");
  } catch {
    // Storage may be switched off; the system's theme applies then.
  }
  const root = document.documentElement;
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.classList.toggle("fs-dark", dark);
  root.lang = "en";
  // Gradio reads its theme from the address; shell.js takes it out again.
  const address = new URL(location.href);
  address.searchParams.set("__theme", dark ? "dark" : "light");
  history.replaceState(history.state, "", address);
})();
