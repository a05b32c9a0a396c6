// The list of conversations: search, days, menu, renaming in place, undo.

import { mountAccount } from "./account.js";
import { receive, send } from "./bridge.js";
import { h, icon, iconButton } from "./dom.js";
import { openExport } from "./export.js";
import { askedFor, isFor, mountFilters } from "./filters.js";
import { t } from "./i18n.js";
import { openImport } from "./import.js";
import { askName, notice, openMenu } from "./popup.js";
import { openTrash, whenTrashClosed } from "./trash.js";

const DAY_MS = 86_400_000;
const SEARCH_MS = 200;
const AGAIN_MS = 50;

let list, input, none, foot;
let conversations = [];
let hits = [];
let archived = false;
let active = "";
let open = () => {};
let jump = () => {};
let timer = null;

const query = () => input.value.trim();

export function mountSidebar(element, actions) {
  open = actions.open;
  jump = actions.jump;
  input = h("input", { type: "search", placeholder: t("Search chats"), "aria-label": t("Search chats"), autocomplete: "off" });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(refreshList, SEARCH_MS);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    event.stopPropagation();
    if (input.value) {
      input.value = "";
      input.dispatchEvent(new Event("input"));
    } else input.blur();
  });
  const filters = mountFilters(refreshList, () => active);
  list = h("nav.fs-list", { "aria-label": t("Conversations") });
  none = h("p.fs-none", { hidden: true });
  element.append(
    h(
      "div.fs-brand",
      {},
      h("img", { src: new URL("../favicon.svg", import.meta.url).href, alt: "", width: "26", height: "26" }),
      h("span", {}, "Fireside"),
      iconButton("close", t("Close sidebar"), actions.close, "button.fs-icon.fs-close-side"),
    ),
    h("button.fs-new", { type: "button", onclick: actions.create, title: `${t("New chat")} (Ctrl+Shift+O)` }, icon("pencil"), t("New chat")),
    h("div.fs-search-row", {}, h("label.fs-search", { title: `${t("Search")} (Ctrl+K)` }, icon("search"), input), filters.button),
    filters.chips,
    none,
    list,
    (foot = h("div.fs-side-foot")),
    mountAccount(),
  );
  drawFoot();
  whenTrashClosed(refreshList);
  list.addEventListener("keydown", moveFocus);
}

/** Ask for the list anew. */
export const refreshList = () => send("sidebar", "search", { query: query(), archived, filters: askedFor() });

/** Show the archive in place of the list, or the list again. */
function showArchive(into) {
  archived = into;
  drawFoot();
  refreshList();
}

function drawFoot() {
  const turn = archived
    ? h("button.fs-button", { type: "button", onclick: () => showArchive(false) }, icon("left"), t("All chats"))
    : h("button.fs-button", { type: "button", onclick: () => showArchive(true) }, icon("archive"), t("Archive"));
  const bin = h("button.fs-button", { type: "button", onclick: openTrash }, icon("trash"), t("Trash"));
  const bring = iconButton("upload", t("Import chats"), openImport);
  const take = iconButton("download", t("Export chats"), () => openExport({ query: query(), listed: conversations }));
  foot.replaceChildren(turn, bin, bring, take);
}

export function focusSearch() {
  input.focus();
  input.select();
}

/** Mark the open conversation. */
export function markActive(id) {
  active = id;
  for (const row of list.querySelectorAll(".fs-entry")) mark(row);
}

function mark(row) {
  const current = row.dataset.id === active;
  row.classList.toggle("fs-active", current);
  row.querySelector("a")?.[current ? "setAttribute" : "removeAttribute"]("aria-current", "page");
}

function show(message) {
  // An answer to an earlier query. Gradio holds this one to be under way until we return, and may drop another.
  if (message.query !== query() || message.archived !== archived || !isFor(message.filters)) {
    setTimeout(refreshList, AGAIN_MS);
    return;
  }
  ({ conversations, hits } = message);
  // Redrawing would throw away what is being typed.
  if (list.querySelector(".fs-rename")) return;
  draw();
}

function draw() {
  const focused = list.contains(document.activeElement) ? document.activeElement.closest(".fs-entry")?.dataset.id : null;
  const groups = new Map();
  for (const each of conversations) {
    const name = archived ? t("Archived") : each.pinned ? t("Pinned") : dayOf(each.updated_at);
    groups.set(name, [...(groups.get(name) ?? []), each]);
  }
  list.replaceChildren(
    ...[...groups].map(([name, members]) =>
      h("section", { "aria-label": name }, h("h2", {}, name), h("ul", {}, ...members.map(entry))),
    ),
  );
  if (hits.length) list.append(found());
  const { role, model, since, until } = askedFor();
  const wordless = !query() && (role || model || since || until);
  none.hidden = !wordless && (conversations.length > 0 || hits.length > 0);
  none.textContent = wordless
    ? t("Type the words to look for in messages.")
    : query()
      ? t("No chat has these words.")
      : Object.keys(askedFor()).length
        ? t("No chat is like this.")
        : archived
          ? t("No chat is archived.")
          : t("Your chats will be listed here.");
  if (focused) list.querySelector(`[data-id="${CSS.escape(focused)}"] a`)?.focus();
}

/** Messages with the words that are searched for, in whatever branch they are. */
function found() {
  const hit = ({ id, title, role, pieces }) =>
    h(
      "li",
      {},
      h(
        "button.fs-hit",
        { type: "button", onclick: () => jump(id) },
        h("span.fs-hit-title", {}, `${title} · ${role === "user" ? t("You") : "Fireside"}`),
        h("span.fs-hit-text", {}, ...pieces.map(([text, match]) => (match ? h("mark", {}, text) : text))),
      ),
    );
  return h("section", { "aria-label": t("Messages") }, h("h2", {}, t("Messages")), h("ul", {}, ...hits.map(hit)));
}

function dayOf(time) {
  const today = new Date();
  today.setHours(0, 0, 0, 0);
  const days = Math.floor((today - new Date(time)) / DAY_MS) + 1;
  if (days <= 0) return t("Today");
  if (days === 1) return t("Yesterday");
  return days <= 7 ? t("Previous 7 days") : t("Older");
}

function entry(each) {
  const link = h("a", { href: `/?c=${encodeURIComponent(each.id)}`, title: each.title }, each.title);
  const row = h("li.fs-entry", {}, link);
  const more = iconButton("more", t("Chat menu"), () => menu(each, row, more), "button.fs-icon.fs-more", {
    "aria-haspopup": "menu",
    "aria-expanded": "false",
  });
  row.dataset.id = each.id;
  row.append(...each.tags.slice(0, 2).map(chip), more);
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    open(each.id);
  });
  link.addEventListener("keydown", (event) => event.key === "F2" && rename(each, row));
  row.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    menu(each, row, more, { x: event.clientX, y: event.clientY });
  });
  mark(row);
  return row;
}

const chip = (tag) =>
  h(
    "button.fs-tag",
    {
      type: "button",
      title: t("Chats tagged {tag}", { tag }),
      onclick: () => {
        input.value = `#${tag}`;
        refreshList();
      },
    },
    tag,
  );

async function editTags(each) {
  const tags = await askName(t("Tags, with commas between them"), t("Save"), {
    label: t("Tags"),
    value: each.tags.join(", "),
    maxlength: 800,
    empty: true,
  });
  if (tags !== null) change("tag", { id: each.id, tags });
}

function archive(each) {
  change("archive", { id: each.id, into: !each.archived });
  if (each.archived) return;
  notice(t("Archived “{title}”.", each), {
    action: () => change("archive", { id: each.id, into: false }),
    label: t("Undo"),
    seconds: 10,
  });
}

function menu(each, row, anchor, point) {
  openMenu(
    anchor,
    [
      { label: each.pinned ? t("Unpin") : t("Pin"), icon: "pin", action: () => change("pin", { id: each.id, pinned: !each.pinned }) },
      { label: t("Rename"), icon: "pencil", action: () => rename(each, row) },
      { label: t("Tags…"), icon: "tag", action: () => editTags(each) },
      { label: t("Duplicate"), icon: "copy", action: () => change("duplicate", { id: each.id }) },
      { label: each.archived ? t("Unarchive") : t("Archive"), icon: "archive", action: () => archive(each) },
      { label: t("Export…"), icon: "download", action: () => openExport({ each, query: query(), listed: conversations }) },
      { label: t("Delete"), icon: "trash", danger: true, action: () => remove(each) },
    ],
    point,
  );
}

const change = (event, data) => send("sidebar", event, { ...data, query: query(), archived, filters: askedFor() });

function remove(each) {
  change("remove", { id: each.id });
  if (each.id === active) open("");
  notice(t("Deleted “{title}”.", each), {
    action: () => change("restore", { id: each.id }),
    label: t("Undo"),
    seconds: 10,
  });
}

function rename(each, row) {
  const field = h("input.fs-rename", { type: "text", "aria-label": t("Chat title"), maxlength: "200" });
  field.value = each.title;
  let ended = false;
  const end = (keep) => {
    if (ended) return;
    ended = true;
    const title = field.value.trim();
    if (keep && title && title !== each.title) {
      each.title = title;
      change("rename", { id: each.id, title });
    }
    const fresh = entry(each);
    (field.closest("li") ?? row).replaceWith(fresh);
    if (keep !== "away") fresh.querySelector("a").focus();
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === "Enter") end(true);
    if (event.key === "Escape") end(false);
  });
  field.addEventListener("blur", () => end("away"));
  row.replaceChildren(field);
  field.focus();
  field.select();
}

function moveFocus(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.target.tagName !== "A") return;
  const links = [...list.querySelectorAll(".fs-entry a")];
  links[links.indexOf(event.target) + step]?.focus();
  event.preventDefault();
}

receive("sidebar", { list: show });
