// A message's own panel: what there is to see of one message beyond its text, each kind of it in a tab.
//
// The address tells which message and tab are open (`&m=ID&panel=TAB`), so that back closes it and a reload keeps it.

import { h, iconButton } from "./dom.js";
import { t } from "./i18n.js";

const root = document.documentElement;
const narrow = matchMedia("(max-width: 820px)");
const tabs = [];

let panel, heading, list, body;
let messageOf = () => null;
let shown = null; // {message, tab, unmount}
let opener = null;

/**
 * Add a tab to every message's panel, in the order of registration.
 *
 * id: lower-case word of the address. label: of the tab. appliesTo(message): whether it has anything to show.
 * mount(element, message): fill the empty element; may return a function that is called when it is taken away. `message`
 * is as `message_view` in app/ui/views.py makes it.
 */
export function registerPanelTab(tab) {
  tabs.push(tab);
}

/** Whether there is anything to see in a message's panel. */
export const hasPanel = (message) => tabs.some((tab) => tab.appliesTo(message));

/** Build the panel into the frame; find(id): the message of the open conversation, or null. */
export function startPanel(find) {
  messageOf = find;
  heading = h("h2", {}, "");
  list = h("div.fs-panel-tabs", { role: "tablist", "aria-label": t("Views") });
  body = h("div.fs-panel-body", { role: "tabpanel", id: "fs-panel-body", tabindex: "0" });
  const head = h("div.fs-panel-head", {}, heading, iconButton("close", t("Close panel"), closePanel));
  panel = h("aside.fs-panel", { role: "dialog", "aria-label": t("Look inside"), hidden: true }, head, list, body);
  list.addEventListener("keydown", onArrow);
  document.getElementById("fs-shell").append(panel);
  narrow.addEventListener("change", seclude);
}

/** Open a message's panel, or another tab of it; without `tab` the first that applies. */
export function openPanel(id, tab = "", from = document.activeElement) {
  const address = new URL(location.href);
  const already = address.searchParams.has("m");
  if (!already) opener = from;
  const message = messageOf(id);
  address.searchParams.set("m", id);
  address.searchParams.set("panel", tab || (tabs.find((each) => message && each.appliesTo(message))?.id ?? ""));
  if (already) history.replaceState(history.state, "", address);
  else history.pushState({ panel: true }, "", address);
  syncPanel();
  if (!already) list.querySelector("[aria-selected=true]")?.focus();
}

/** Close the panel; whether it was open. */
export function closePanel() {
  if (!shown) return false;
  hide();
  // Its own entry of the history goes away with it; one that came from a link stays.
  if (history.state?.panel) history.back();
  else history.replaceState(null, "", withoutPanel());
  return true;
}

/** Bring the panel in line with the address and with what its message is by now. */
export function syncPanel() {
  if (!panel) return;
  const asked = new URLSearchParams(location.search);
  const message = asked.has("m") ? messageOf(asked.get("m")) : null;
  const fitting = message ? tabs.filter((tab) => tab.appliesTo(message)) : [];
  if (!fitting.length) {
    if (asked.has("m")) history.replaceState(null, "", withoutPanel());
    hide();
    return;
  }
  const tab = fitting.find(({ id }) => id === asked.get("panel")) ?? fitting[0];
  if (shown?.message === message && shown.tab === tab) return;
  heading.textContent = message.role === "user" ? t("Your message") : t("This answer");
  panel.setAttribute("aria-label", heading.textContent);
  panel.hidden = false;
  root.classList.add("fs-panel-open");
  drawTabs(message, fitting, tab);
  mount(message, tab);
  seclude();
}

function withoutPanel() {
  const address = new URL(location.href);
  address.searchParams.delete("m");
  address.searchParams.delete("panel");
  return address;
}

function drawTabs(message, fitting, chosen) {
  const focused = list.contains(document.activeElement);
  const buttons = fitting.map((tab) => {
    const selected = tab === chosen;
    const properties = { type: "button", role: "tab", id: `fs-panel-tab-${tab.id}`, "aria-controls": "fs-panel-body" };
    properties["aria-selected"] = String(selected);
    properties.tabindex = selected ? "0" : "-1";
    return h("button.fs-panel-tab", { ...properties, onclick: () => openPanel(message.id, tab.id) }, tab.label);
  });
  list.replaceChildren(...buttons);
  body.setAttribute("aria-labelledby", `fs-panel-tab-${chosen.id}`);
  if (focused) list.querySelector("[aria-selected=true]").focus();
}

function mount(message, tab) {
  shown?.unmount?.();
  const element = h(`div.fs-panel-view.fs-panel-${tab.id}`);
  body.replaceChildren(element);
  body.scrollTop = 0;
  shown = { message, tab, unmount: null };
  if (message.status === "streaming") element.append(h("p.fs-remark", {}, t("This answer is being written.")));
  else shown.unmount = tab.mount(element, message) ?? null;
}

function hide() {
  if (!shown) return;
  const id = shown.message.id;
  const focused = panel.contains(document.activeElement) || document.activeElement === document.body;
  shown.unmount?.();
  shown = null;
  panel.hidden = true;
  body.replaceChildren();
  root.classList.remove("fs-panel-open");
  seclude();
  // The button may have been drawn anew meanwhile.
  const again = document.querySelector(`.fs-turn[data-id="${CSS.escape(id)}"] .fs-look`);
  if (focused) (opener?.isConnected ? opener : again)?.focus();
  opener = null;
}

/** On a narrow page the panel covers everything; what lies below is out of reach. */
function seclude() {
  const over = shown !== null && narrow.matches;
  panel.setAttribute("aria-modal", String(over));
  for (const id of ["fs-side", "fs-main"]) document.getElementById(id).inert = over;
}

function onArrow(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const all = [...list.children];
  all.at((all.indexOf(document.activeElement) + step) % all.length).click();
  event.preventDefault();
}
