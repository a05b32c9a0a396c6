// The frame: both side panels, theme, address, keys.

import { icon, iconButton } from "./dom.js";
import { chooseLanguage, chosenLanguage, t } from "./i18n.js";
import { closePanel } from "./panel.js";
import { closePopup, openMenu } from "./popup.js";
import { toggleShortcuts } from "./shortcuts.js";
import { focusSearch } from "./sidebar.js";

const root = document.documentElement;
const narrow = matchMedia("(max-width: 820px)");

const composer = () => document.querySelector("#fs-composer textarea");
export const focusComposer = () => composer()?.focus();

function remember(name, value) {
  try {
    localStorage.setItem(`fireside.${name}`, value);
  } catch {
    // Only a preference is lost.
  }
}

function recall(name) {
  try {
    return localStorage.getItem(`fireside.${name}`);
  } catch {
    return null;
  }
}

function setPanel(name, open, keep = true) {
  root.classList.toggle(`fs-${name}-open`, open);
  document.querySelector(`.fs-toggle-${name}`)?.setAttribute("aria-expanded", String(open));
  if (keep && !narrow.matches) remember(name, open ? "open" : "closed");
  seclude();
}

const isOpen = (name) => root.classList.contains(`fs-${name}-open`);

/** On a narrow page side panels lie over everything; what is below is out of reach, and the focus within. */
function seclude() {
  const over = narrow.matches ? ["side", "drawer"].find(isOpen) : undefined;
  for (const name of ["side", "main", "drawer"]) {
    document.getElementById(`fs-${name}`).inert = over !== undefined && name !== over;
  }
}

/** Open or close a side panel by hand: the focus goes along on a narrow page. */
function toggle(name) {
  setPanel(name, !isOpen(name));
  if (!narrow.matches || !isOpen(name)) return;
  const close = document.querySelector(`.fs-close-${name}`);
  close.focus();
  // While the panel slides in, it may not be seen enough to take the focus.
  document.getElementById(`fs-${name}`).addEventListener("transitionend", () => isOpen(name) && close.focus(), { once: true });
}

export function toggleSidebar() {
  if (narrow.matches) setPanel("drawer", false);
  toggle("side");
}

export function toggleDrawer() {
  // The panel lies where the drawer is.
  if (closePanel() && isOpen("drawer")) return;
  if (narrow.matches) setPanel("side", false);
  toggle("drawer");
}

/** Open the settings, if they are not. */
export function openDrawer() {
  if (!isOpen("drawer")) toggleDrawer();
}

/** Close what lies over the conversation on a narrow page; whether anything did. */
export function closeOverlays() {
  const open = narrow.matches && ["side", "drawer"].find(isOpen);
  if (!open) return false;
  setPanel(open, false);
  document.querySelector(`.fs-toggle-${open}`)?.focus();
  return true;
}

export function openSearch() {
  setPanel("side", true);
  focusSearch();
}

const systemDark = matchMedia("(prefers-color-scheme: dark)");
const chosenTheme = () => recall("theme") ?? "system";
const isDark = () => (chosenTheme() === "system" ? systemDark.matches : chosenTheme() === "dark");

function applyTheme() {
  const dark = isDark();
  root.classList.toggle("fs-dark", dark);
  document.body.classList.toggle("dark", dark);
  document.querySelector(".fs-appearance").replaceChildren(icon(dark ? "moon" : "sun"));
}

function chooseTheme(theme) {
  remember("theme", theme);
  applyTheme();
}

/** The menu of theme and language. */
export function openAppearance(anchor) {
  const theme = (name, label, shape) => ({
    label,
    icon: shape,
    checked: chosenTheme() === name,
    action: () => chooseTheme(name),
  });
  const tongue = (code, label) => ({
    label,
    icon: "globe",
    checked: chosenLanguage() === code,
    action: () => chooseLanguage(code),
  });
  openMenu(anchor, [
    theme("light", t("Light theme"), "sun"),
    theme("dark", t("Dark theme"), "moon"),
    theme("system", t("System's theme"), "screen"),
    null,
    tongue("en", "English"),
    tongue("zh-CN", "简体中文"),
    tongue("", t("Browser's language")),
    null,
    { label: t("Keyboard shortcuts"), icon: "keyboard", action: toggleShortcuts },
  ]);
}

/** The conversation that the address asks for. */
export const addressed = () => new URLSearchParams(location.search).get("c") ?? "";

/** Make the address tell which conversation is open. */
export function setAddress(id) {
  if (id === addressed()) return;
  history.pushState(null, "", id ? `/?c=${encodeURIComponent(id)}` : "/");
}

/** Gradio names its sliders "range slider for X", and the message box after its buttons too. */
function nameControls() {
  composer()?.setAttribute("aria-label", t("Message"));
  for (const slider of document.querySelectorAll("#fs-drawer .fs-slider:has(input[type=range])")) {
    const label = slider.querySelector("[data-testid=block-info]").textContent.trim();
    slider.querySelector("input[type=range]").setAttribute("aria-label", label);
    slider.querySelector("input[type=number]").setAttribute("aria-label", t("{label}, as a number", { label }));
  }
}

/** Keep their names right as Gradio draws the controls, and put the cursor into the message box once it is there. */
function watchControls() {
  let waiting = !narrow.matches; // A phone would open its keyboard over the page.
  const look = () => {
    nameControls();
    if (waiting && composer()) {
      waiting = false;
      focusComposer();
    }
  };
  for (const id of ["fs-dock", "fs-drawer"]) {
    new MutationObserver(look).observe(document.getElementById(id), { childList: true, subtree: true });
  }
  look();
}

/** Set up the frame; actions are create() and open(id). */
export function startShell({ create, open }) {
  const address = new URL(location.href);
  address.searchParams.delete("__theme");
  history.replaceState(history.state, "", address);
  applyTheme();
  systemDark.addEventListener("change", applyTheme);
  // Another tab may have chosen another.
  addEventListener("storage", applyTheme);
  watchControls();
  setPanel("side", !narrow.matches && recall("side") !== "closed", false);
  setPanel("drawer", !narrow.matches && recall("drawer") === "open", false);
  narrow.addEventListener("change", () => {
    setPanel("side", !narrow.matches && recall("side") !== "closed", false);
    setPanel("drawer", !narrow.matches && recall("drawer") === "open", false);
  });
  document.getElementById("fs-drawer-title").append(
    iconButton("close", t("Close settings"), () => closeOverlays(), "button.fs-icon.fs-close-drawer"),
  );
  const scrim = document.createElement("div");
  scrim.className = "fs-scrim";
  scrim.addEventListener("click", closeOverlays);
  document.getElementById("fs-shell").append(scrim);
  addEventListener("popstate", () => open(addressed()));
  addEventListener("keydown", (event) => onKey(event, create));
}

function onKey(event, create) {
  if (event.isComposing) return;
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  const typing = event.target.closest?.("input, textarea, [contenteditable]");
  if (command && !event.shiftKey && key === "k") openSearch();
  else if (command && event.shiftKey && key === "o") create();
  else if (command && event.shiftKey && key === "s") toggleSidebar();
  else if (command && key === ",") toggleDrawer();
  else if ((command && key === "/") || (key === "?" && !typing)) toggleShortcuts();
  else if (key === "/" && !command && !typing) focusComposer();
  else if (key === "escape") {
    if (!closePopup() && !closePanel() && !closeOverlays()) stopAnswer();
    return;
  } else return;
  event.preventDefault();
}

function stopAnswer() {
  if (root.classList.contains("fs-running")) document.querySelector("#fs-composer .stop-button")?.click();
}
