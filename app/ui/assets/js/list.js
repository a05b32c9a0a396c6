// The conversations of the list: fetched a page at a time, kept in order, drawn by days.

import { h } from "./dom.js";
import { entry } from "./entry.js";
import { openExport } from "./export.js";
import { askedFor } from "./filters.js";
import { t } from "./i18n.js";
import { isUnread, markRead, markUnread, whenMarked } from "./unread.js";

const DAY_MS = 86_400_000;
const MOST_IDS = 100;
// As many as the server sends at once.
const PAGE = 200;
// What the arrow keys go through.
const STOPS = ".fs-entry a, .fs-hit";

let list, none, sentinel;
let actions = {};
let asked = { query: "", archived: false };
let conversations = [];
let hits = [];
let more = false;
let active = "";
let latest = null;
let onRow = () => {};
// Elements by id, with what they show: drawing anew costs only what changed.
const drawn = new Map();
let shownHits = {};

/** Build the list; chosen: open(id), jump(id), removed(id), tagged(tag). Returns what is to be placed on the page. */
export function mountList(chosen) {
  actions = { ...chosen, shown, redraw, exported: exportChats };
  list = h("nav.fs-list", { "aria-label": t("Conversations") });
  none = h("p.fs-none", { hidden: true, role: "status" });
  sentinel = h("div.fs-list-end");
  list.addEventListener("keydown", moveFocus);
  new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && nextPage(), {
    root: list,
    rootMargin: "1200px",
  }).observe(sentinel);
  whenMarked(draw);
  return [none, list];
}

/** Ask how to export chats: one of them, what is searched for, those that are chosen of the list, or all. */
export function exportChats(each = null) {
  openExport({ each, query: asked.query, filters: askedFor() });
}

/** Call `callback(row)` with the open conversation's row whenever it changed; {id, gone: true} where it is gone. */
export function whenRow(callback) {
  onRow = callback;
}

/** Show what has these words, of the archive or not, from the beginning. */
export async function showList(wanted) {
  asked = wanted;
  const page = await fetchPage(0);
  if (!page) return;
  ({ hits, more } = page);
  conversations = page.conversations;
  list.scrollTop = 0;
  drawn.clear();
  draw();
}

async function nextPage() {
  if (!more) return;
  more = false;
  const page = await fetchPage(conversations.length);
  if (!page) return;
  more = page.more;
  const known = new Set(conversations.map((each) => each.id));
  conversations.push(...page.conversations.filter((each) => !known.has(each.id)));
  draw();
}

/** A page of the list; null where something else was asked for meanwhile, or the server is gone. */
async function fetchPage(skip) {
  latest?.abort();
  const mine = (latest = new AbortController());
  const parameters = new URLSearchParams({ ...askedFor(), ...asked, skip });
  try {
    const response = await fetch(`/conversations?${parameters}`, { cache: "no-store", signal: mine.signal });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** Bring rows in line with the server; null for all. */
export async function refresh(ids) {
  const searched = asked.query || Object.keys(askedFor()).length;
  if (ids && ids.length <= MOST_IDS) {
    try {
      const response = await fetch(`/conversations/rows?ids=${ids.map(encodeURIComponent)}`, { cache: "no-store" });
      if (response.ok) take(await response.json(), searched);
    } catch {
      // The server is gone; what changed is asked for when it is back.
    }
    return;
  }
  const known = conversations.length;
  await showList(asked);
  if (known > conversations.length) nextPage();
  if (active) refresh([active]);
}

function take({ conversations: rows, gone }, searched) {
  const byId = new Map(conversations.map((each) => [each.id, each]));
  for (const id of gone) {
    byId.delete(id);
    if (id === active) onRow({ id, gone: true });
  }
  for (const row of rows) {
    const before = byId.get(row.id);
    const looked = row.id === active && !document.hidden;
    if (before?.running && !row.running && !looked) markUnread(row.id);
    const belongs = !row.deleted && row.archived === asked.archived;
    if (!belongs) byId.delete(row.id);
    // Whether it has the words only the server knows.
    else if (before || !searched) byId.set(row.id, row);
    if (row.id === active) onRow(row.deleted ? { id: row.id, gone: true } : row);
  }
  const room = Math.max(conversations.length, PAGE);
  conversations = [...byId.values()].sort(byPlace);
  // What lies below all that is loaded is loaded when it is scrolled to: an import may add thousands.
  if (conversations.length > room) {
    conversations.length = room;
    more = true;
  }
  draw();
}

const byPlace = (a, b) => b.pinned - a.pinned || compare(b.updated_at, a.updated_at) || compare(b.id, a.id);
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** Mark the open conversation. */
export function markActive(id) {
  active = id;
  markRead(id);
  draw();
}

function draw() {
  // Redrawing would throw away what is being typed.
  if (list.querySelector(".fs-rename")) return;
  const held = list.contains(document.activeElement) ? document.activeElement : null;
  const row = held?.closest(".fs-entry");
  const at = [...list.querySelectorAll(".fs-entry")].indexOf(row);
  const groups = new Map();
  for (const each of conversations) {
    const name = asked.archived ? t("Archived") : each.pinned ? t("Pinned") : dayOf(each.updated_at);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(each);
  }
  list.replaceChildren(
    ...[...groups].map(([name, members]) =>
      h("section", { "aria-label": name }, h("h2", {}, name), h("ul", {}, ...members.map(element))),
    ),
    ...(hits.length ? [found()] : []),
    sentinel,
  );
  explain();
  if (held && document.activeElement !== held) refocus(held, row?.dataset.id, at);
}

/** Give the focus back to what had it, or to what is now in the place of a row that is gone. */
function refocus(held, id, at) {
  const links = [...list.querySelectorAll(".fs-entry a")];
  const again = links.find((link) => link.parentElement.dataset.id === id) ?? links[Math.min(at, links.length - 1)];
  (held.isConnected ? held : again)?.focus({ preventScroll: true });
}

/** The row of a conversation, the one there is where it shows the same. */
function element(each) {
  const shown = JSON.stringify([each, isUnread(each.id)]);
  let known = drawn.get(each.id);
  if (known?.shown !== shown) {
    known = { shown, row: entry(each, actions) };
    drawn.set(each.id, known);
  }
  const current = each.id === active;
  known.row.classList.toggle("fs-active", current);
  known.row.firstElementChild[current ? "setAttribute" : "removeAttribute"]("aria-current", "page");
  return known.row;
}

/** A conversation as it is listed now, and its row; {} where it is not. */
function shown(id) {
  const each = conversations.find((one) => one.id === id);
  const row = drawn.get(id)?.row;
  return each && row?.isConnected ? { each, row } : {};
}

function redraw(id, focus) {
  drawn.delete(id);
  draw();
  if (focus) list.querySelector(`[data-id="${CSS.escape(id)}"] a`)?.focus();
}

function explain() {
  const { role, model, since, until } = askedFor();
  const wordless = !asked.query && (role || model || since || until);
  none.hidden = !wordless && (conversations.length > 0 || hits.length > 0);
  none.textContent = wordless
    ? t("Type the words to look for in messages.")
    : asked.query
      ? t("No chat has these words.")
      : Object.keys(askedFor()).length
        ? t("No chat is like this.")
        : asked.archived
          ? t("No chat is archived.")
          : t("Your chats will be listed here.");
}

/** Messages with the words that are searched for, in whatever branch they are; the same element for the same ones. */
function found() {
  if (shownHits.of === hits) return shownHits.element;
  const hit = ({ id, title, role, pieces }) =>
    h(
      "li",
      {},
      h(
        "button.fs-hit",
        { type: "button", onclick: () => actions.jump(id) },
        h("span.fs-hit-title", {}, h("span", {}, title), h("span", {}, ` · ${role === "user" ? t("You") : "Fireside"}`)),
        h("span.fs-hit-text", {}, ...pieces.map(([text, match]) => (match ? h("mark", {}, text) : text))),
      ),
    );
  const element = h("section", { "aria-label": t("Messages") }, h("h2", {}, t("Messages")), h("ul", {}, ...hits.map(hit)));
  shownHits = { of: hits, element };
  return element;
}

function dayOf(time) {
  const today = new Date();
  today.setHours(0, 0, 0, 0);
  const days = Math.floor((today - new Date(time)) / DAY_MS) + 1;
  if (days <= 0) return t("Today");
  if (days === 1) return t("Yesterday");
  return days <= 7 ? t("Previous 7 days") : t("Older");
}

function moveFocus(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const stops = [...list.querySelectorAll(STOPS)];
  const at = stops.indexOf(event.target);
  if (!step || at < 0) return;
  stops[at + step]?.focus();
  event.preventDefault();
}

/** Go from the search to the first that it found. */
export const enterList = () => list.querySelector(STOPS)?.focus();
