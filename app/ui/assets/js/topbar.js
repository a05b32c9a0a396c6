// The bar above the conversation: the model and its state, the meter, and whether the server is there at all.

import { send } from "./bridge.js";
import { h, icon, iconButton } from "./dom.js";
import { number, t } from "./i18n.js";
import { notice } from "./popup.js";
import { shortName, size } from "./units.js";

const BUSY_MS = 700;
const IDLE_MS = 5_000;

let name, chooser, state, progress, retry, meter, ring, meterText, banner;
let context = 0;
let figures = null;
let timer = null;
let reachable = true;
let server = "";
let onBack = () => {};
let onReady = () => {};
let before = "";
let trouble = "";
let latest = null;
const watchers = [];
// What was said of the database already; a page that is loaded again says it again.
const told = new Set();

/** Call `callback` when the server answers again after it had gone. */
export function whenBack(callback) {
  onBack = callback;
}

/** Call `callback(first)` when a model is loaded; first: it was there when the server was first asked. */
export function whenReady(callback) {
  onReady = callback;
}

/** Call `callback(status)` with the latest and each time the server has told how far its model is. */
export function whenStatus(callback) {
  watchers.push(callback);
  if (latest) callback(latest);
}

export function mountTopbar(element, { toggleSidebar, openAppearance, toggleDrawer, openModels }) {
  name = h("span.fs-model-name");
  chooser = h("button.fs-model-button", { type: "button", "aria-haspopup": "dialog", onclick: openModels }, name, icon("chevron"));
  state = h("span.fs-model-state", { role: "status" });
  progress = h("progress.fs-progress", { "aria-label": t("Model progress"), hidden: true });
  retry = h("button.fs-button.fs-small", { type: "button", hidden: true, onclick: askAgain }, t("Retry"));
  ring = h("span.fs-ring");
  meterText = h("span.fs-meter-text");
  meter = h("div.fs-meter", { role: "img", hidden: true }, ring, meterText);
  banner = h("div.fs-banner", { role: "alert", hidden: true });
  const appearance = iconButton("sun", t("Theme and language"), () => openAppearance(appearance), "button.fs-icon.fs-appearance", {
    "aria-haspopup": "menu",
    "aria-expanded": "false",
  });
  element.append(
    iconButton("sidebar", t("Toggle sidebar"), toggleSidebar, "button.fs-icon.fs-toggle-side", { "aria-expanded": "true" }),
    h("div.fs-model", {}, chooser, state, progress, retry),
    meter,
    appearance,
    iconButton("sliders", t("Settings"), toggleDrawer, "button.fs-icon.fs-toggle-drawer", { "aria-expanded": "false" }),
    banner,
  );
  document.addEventListener("visibilitychange", () => document.hidden || lookAgain());
  look();
}

/** Whether the server answered when it was last asked. */
export const isReachable = () => reachable;

/** Whether a model is loaded, as far as the server has told. */
export const isModelReady = () => before === "ready";

/** Tokens that the conversation fills of the model's context, and how many that has; 0 while there is no model. */
export const contextUse = () => ({ used: usedTokens(), context });

const usedTokens = () => (figures ? (figures.prompt_tokens ?? 0) + (figures.new_tokens ?? 0) : 0);

/** Ask for the state now rather than at the next turn. */
export function lookAgain() {
  clearTimeout(timer);
  timer = setTimeout(look, 50);
}

function askAgain() {
  send("topbar", "retry_model");
  setTimeout(lookAgain, 200);
}

/** Say what is wrong with the database until the user has put it away. */
function tell(words) {
  told.add(words);
  notice(words, { kind: "error", seconds: Infinity });
}

async function look() {
  clearTimeout(timer);
  let wait = BUSY_MS;
  try {
    const response = await fetch("/status", { cache: "no-store" });
    // That the session has ended is told by account.js.
    const ended = response.status === 401;
    if (!response.ok && !ended) throw new Error(response.statusText);
    const status = ended ? { status: "ready" } : await response.json();
    if (!ended) {
      server ||= status.server;
      // Gradio's part of a page is deaf to another server than its own, and would load the page anew at any time.
      if (status.server !== server) {
        location.reload();
        return;
      }
      show(status);
      for (const words of status.notices) if (!told.has(words)) tell(words);
      if (!reachable) onBack();
    }
    reachable = true;
    wait = ["ready", "failed"].includes(status.status) && !status.downloads ? IDLE_MS : BUSY_MS;
  } catch {
    reachable = false;
    wait = 1500;
  }
  banner.hidden = reachable;
  banner.textContent = reachable ? "" : t("Fireside is not running. Your chats are kept; start it again to go on.");
  clearTimeout(timer);
  timer = setTimeout(look, wait);
}

function show(told) {
  const { status, name: asked, message, done_bytes: done, total_bytes: total, model } = told;
  latest = told;
  for (const watcher of watchers) watcher(told);
  const counted = total > 0 && (status === "downloading" || status === "loading");
  name.textContent = shortName(asked);
  chooser.setAttribute("aria-label", t("Model: {name}", { name: name.textContent }));
  chooser.title = model
    ? t("{name}, {parameters} million parameters, {quantization}, on {device}", { ...model, parameters: number(Math.round(model.parameters / 1e6)) })
    : asked;
  const words = {
    absent: t("Looking for the model…"),
    downloading: total ? t("Downloading {done} of {total}", { done: size(done), total: size(total) }) : t("Downloading…"),
    loading: told.answers ? t("Waiting for answers to end…") : t("Loading…"),
    ready: model ? model.quantization : "",
    failed: message,
  };
  state.textContent = words[status] ?? message;
  state.title = message;
  state.className = `fs-model-state fs-is-${status}`;
  progress.hidden = !counted;
  if (counted) {
    progress.max = total;
    progress.value = done;
  }
  retry.hidden = status !== "failed";
  context = model?.context ?? 0;
  const first = !before;
  const loaded = status === "ready" && before !== "ready";
  before = status;
  if (loaded) onReady(first);
  if (told.trouble && told.trouble !== trouble) notice(told.trouble, { kind: "error", seconds: 15 });
  trouble = told.trouble;
  draw();
}

/** Show what an answer used: {prompt_tokens, new_tokens, tokens_per_second}; null for a new conversation. */
export function showFigures(latest) {
  figures = latest;
  draw();
}

function draw() {
  const used = usedTokens();
  meter.hidden = !context;
  ring.style.setProperty("--fs-used", `${Math.min(1, context ? used / context : 0)}turn`);
  const speed = figures?.tokens_per_second ? ` · ${t("{speed} tok/s", { speed: figures.tokens_per_second.toFixed(1) })}` : "";
  const whole = h("span", {}, `${number(used)} / ${number(context)}`);
  meterText.replaceChildren(whole, h("span.fs-wide", {}, ` ${t("ctx")}${speed}`));
  meter.setAttribute("aria-label", t("{used} of {context} tokens of context used", { used: number(used), context: number(context) }) + speed);
  meter.title = meter.getAttribute("aria-label");
}
