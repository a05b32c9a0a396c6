// Pages of their own within the frame, in place of the conversation: `?view=NAME`.

import { h, iconButton } from "./dom.js";
import { t } from "./i18n.js";

const root = document.documentElement;
const views = new Map();
let shown = null; // {name, key, unmount}
let place, heading, body;

/** Add a page. title: its heading. mount(element, parameters): fill it, with the address's parameters; may return a
 *  function that is called when it is left. */
export function registerView(name, { title, mount }) {
  views.set(name, { title, mount });
}

export function startViews() {
  heading = h("h2", { tabindex: "-1" });
  body = h("div.fs-view-body");
  place = h("section.fs-view", { hidden: true, "aria-label": t("View") }, h("div.fs-view-head", {}, heading, iconButton("close", t("Back to the chat"), closeView)), body);
  document.getElementById("fs-main").append(place);
  syncViews();
}

/** Go to a page, with parameters for its address. */
export function openView(name, parameters = {}) {
  const address = new URL(location.href);
  for (const panel of ["m", "panel"]) address.searchParams.delete(panel);
  for (const [key, value] of Object.entries({ view: name, ...parameters })) address.searchParams.set(key, value);
  history.pushState({ view: true }, "", address);
  syncViews();
  heading.focus();
}

function beneath() {
  const conversation = new URLSearchParams(location.search).get("c");
  return conversation ? `/?c=${encodeURIComponent(conversation)}` : "/";
}

/** Go back to the conversation beneath; whether a page was open. */
export function closeView() {
  if (!shown) return false;
  history.pushState(null, "", beneath());
  syncViews();
  return true;
}

/** Give way to a conversation, in the place of the history where the page stood. */
export function leaveView() {
  if (!shown) return;
  history.replaceState(null, "", beneath());
  syncViews();
}

/** Bring the page in line with the address. */
export function syncViews() {
  const asked = new URLSearchParams(location.search);
  const view = views.get(asked.get("view"));
  const key = view ? asked.toString() : null;
  if (key === (shown?.key ?? null)) return;
  shown?.unmount?.();
  shown = null;
  root.classList.toggle("fs-view-open", Boolean(view));
  for (const id of ["fs-transcript", "fs-dock"]) document.getElementById(id).inert = Boolean(view);
  place.hidden = !view;
  body.replaceChildren();
  if (!view) return;
  heading.textContent = view.title;
  place.setAttribute("aria-label", view.title);
  body.className = `fs-view-body fs-view-${asked.get("view")}`;
  shown = { key, unmount: view.mount(body, asked) };
}
