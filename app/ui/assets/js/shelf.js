// What the server tells of models: which there are, what is under way; asked for while somebody looks.

import { receive, send } from "./bridge.js";

const BUSY_MS = 600;
const IDLE_MS = 3_000;

const watchers = new Set();
// Other tabs look at once, not only at their next turn.
const tabs = new BroadcastChannel("fireside.models");
let shelf = null;
let timer = null;
let onChange = () => {};

/** Call `callback(shelf)` with the latest and whenever it was asked for again; returns what ends that. */
export function watchShelf(callback) {
  watchers.add(callback);
  if (shelf) callback(shelf);
  refreshShelf();
  return () => watchers.delete(callback);
}

/** Call `callback` whenever this tab or another has changed something. */
export function whenModelsChange(callback) {
  onChange = callback;
}

/** Ask now rather than at the next turn. */
export function refreshShelf() {
  clearTimeout(timer);
  if (watchers.size) timer = setTimeout(look, 30);
}

async function look() {
  let wait = IDLE_MS;
  try {
    const response = await fetch("/models", { cache: "no-store" });
    const found = await response.json();
    shelf = found.error ? { ...shelf, error: found.error } : found;
    if (busy(shelf)) wait = BUSY_MS;
    for (const watcher of watchers) watcher(shelf);
  } catch {
    // The top bar says that the server is gone.
  }
  clearTimeout(timer);
  if (watchers.size && !document.hidden) timer = setTimeout(look, wait);
}

const busy = ({ downloads = {}, entries = [], state }) =>
  Object.values(downloads).some((each) => each.status === "running") ||
  entries.some((each) => each.reading) ||
  (state && !["ready", "failed"].includes(state.status));

const waiting = new Map();

/** Do something with a model: use_model, download_model, cancel_download, remove_model; why it was refused, or "". */
export function act(event, data) {
  const action = event.split("_")[0];
  send("topbar", event, data);
  return new Promise((resolve) => waiting.set(`${action} ${data.name.trim()}`, resolve));
}

/** Tell the server something that no model is named in: retry_model, hurry_switch, keep_model. */
export function signal(event) {
  send("topbar", event);
  setTimeout(changed, 200);
}

function changed() {
  refreshShelf();
  onChange();
  tabs.postMessage("changed");
}

receive("topbar", {
  models({ action, name, refused }) {
    waiting.get(`${action} ${name}`)?.(refused);
    waiting.delete(`${action} ${name}`);
    changed();
  },
});
tabs.addEventListener("message", () => {
  refreshShelf();
  onChange();
});
document.addEventListener("visibilitychange", () => document.hidden || refreshShelf());
