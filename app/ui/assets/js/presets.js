// The settings' presets, and where each value in the drawer comes from.

import { receive, send } from "./bridge.js";
import { noteRevision } from "./changes.js";
import { h, icon, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { askName, notice, openMenu } from "./popup.js";
import { forgetOld, watchSettings } from "./refusals.js";
import { isModelReady, whenReady } from "./topbar.js";

// No preset has as much; Python checks it too.
const MAX_BYTES = 256 * 1024;
const SOURCES = { model: t("advised by the model"), default: "" };

let layers = null;
let seeking = false; // the model's advice
let known;
/** Until then the drawer has not the values of the conversation. */
export const settingsKnown = new Promise((resolve) => (known = resolve));
let undo, reset, save, ignored;

/** The presets there are, as [{id, name}]. */
export const presets = () => layers?.presets ?? [];

export function mountPresets(element) {
  const more = iconButton("more", t("Preset menu"), () => menu(more), "button.fs-icon", {
    "aria-haspopup": "menu",
    "aria-expanded": "false",
  });
  reset = h("button.fs-button", { type: "button", disabled: true, onclick: () => send("presets", "reset") }, t("Reset"));
  reset.title = t("Set everything back to the preset");
  undo = iconButton("undo", t("Undo the last change of settings"), () => send("presets", "undo"), "button.fs-icon", {
    disabled: true,
  });
  ignored = h("ul.fs-ignored", { hidden: true, "aria-label": t("Advice of the model that cannot be followed") });
  save = h("button.fs-button", { type: "button", hidden: true, onclick: () => send("presets", "save", layers.preset) }, t("Save"));
  save.title = t("Keep the changed settings in this preset");
  element.append(save, h("button.fs-button", { type: "button", onclick: saveAs }, t("Save as…")), reset, undo, more, ignored);
  // Gradio tells of a value only after the server has it; what is shown must be true at once.
  document.getElementById("fs-drawer").addEventListener("input", () => setTimeout(mark));
  watchSettings();
  whenReady((first) => (!first || layers?.advised === false) && takeAdvice());
  new MutationObserver(mark).observe(document.getElementById("fs-drawer"), { childList: true, subtree: true });
}

/** Why a preset cannot have a name: another has it. */
function taken(name) {
  const holder = presets().find((each) => each.name.toLowerCase() === name.toLowerCase() && each.id !== layers.preset.id);
  return holder ? t("There is a preset {name} already: choose another name.", holder) : "";
}

async function saveAs() {
  const name = await askName(t("Save these settings as"), t("Save"), { refuse: taken });
  if (name) send("presets", "save", { name });
}

async function rename() {
  const name = await askName(t("Rename the preset"), t("Rename"), { value: layers.preset.name, refuse: taken });
  if (name && name !== layers.preset.name) send("presets", "rename", { name });
}

function takeIn() {
  const input = h("input", { type: "file", accept: ".json,application/json" });
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    if (file.size > MAX_BYTES) notice(t("This file is too large for a preset."), { kind: "error" });
    else send("presets", "take_in", { text: await file.text() });
  });
  input.click();
}

function menu(anchor) {
  const { id, builtin } = layers.preset;
  const own = [
    { label: t("Rename…"), icon: "pencil", action: rename },
    { label: t("Delete preset"), icon: "trash", danger: true, action: () => send("presets", "delete") },
  ];
  openMenu(anchor, [
    { label: t("Duplicate"), icon: "copy", action: () => send("presets", "duplicate") },
    { label: t("Export as file"), icon: "download", href: `/presets/${encodeURIComponent(id)}.json` },
    { label: t("Import a file…"), icon: "upload", action: takeIn },
    ...(builtin ? [] : own),
  ]);
}

/** A control's value as Python sent it. */
function valueOf(control) {
  const field = control.querySelector("input[type=number]") ?? control.querySelector("textarea, input");
  return field?.type === "number" ? Number(field.value) : field?.value;
}

/** Say at each control where its value comes from. */
function mark() {
  if (!layers) return;
  forgetOld();
  let own = 0;
  layers.names.forEach((name, at) => {
    const control = document.getElementById(`fs-set-${name}`);
    const label = control?.querySelector("[data-testid=block-info]");
    if (!label) return;
    const changed = String(valueOf(control)) !== String(layers.below[at]);
    own += changed;
    label.dataset.source = changed ? t("set in this chat") : (SOURCES[layers.sources[at]] ?? "");
    control.classList.toggle("fs-own", changed);
  });
  reset.disabled = own === 0;
  save.hidden = own === 0 || layers.preset.builtin;
  const preset = document.querySelector("#fs-preset [data-testid=block-info]");
  if (preset) preset.dataset.source = own ? t("changed") : "";
  document.getElementById("fs-preset")?.classList.toggle("fs-own", own > 0);
}

/** The model is loaded now, and what it advises is known. */
function takeAdvice() {
  seeking = true;
  send("presets", "model_ready");
}

function show(message) {
  layers = message;
  if (message.advised) seeking = false;
  else if (isModelReady() && !seeking) takeAdvice();
  noteRevision(message.conversation, message.revision);
  undo.disabled = !layers.undo;
  ignored.hidden = !layers.ignored.length;
  ignored.replaceChildren(...layers.ignored.map((line) => h("li", {}, t("The model's advice is not followed: {line}", { line }))));
  // Gradio draws the values that came along after this. What was typed over the first ones before would be lost.
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      mark();
      document.documentElement.classList.add("fs-settings-known");
      known();
    }),
  );
}

receive("presets", { layers: show });
