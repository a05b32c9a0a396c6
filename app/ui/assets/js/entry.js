// One conversation of the list: its link, marks and menu, renaming in place.

import { send } from "./bridge.js";
import { h, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { askName, notice, openMenu } from "./popup.js";
import { isUnread } from "./unread.js";

const UNDO_SECONDS = 10;

/** A row; actions: open(id), removed(id), tagged(tag), shown(id), redraw(id), exported(each). */
export function entry(each, actions) {
  const link = h("a", { href: `/?c=${encodeURIComponent(each.id)}`, title: each.title }, each.title);
  const row = h("li.fs-entry", {}, link);
  const more = iconButton("more", t("Chat menu"), () => menu(each, more, actions), "button.fs-icon.fs-more", {
    "aria-haspopup": "menu",
    "aria-expanded": "false",
  });
  row.dataset.id = each.id;
  row.append(...[mark(each)].filter(Boolean), ...each.tags.slice(0, 2).map((tag) => chip(tag, actions)), more);
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    actions.open(each.id);
  });
  link.addEventListener("keydown", (event) => {
    if (event.key === "F2") rename(each.id, actions);
    if (event.key === "Delete") remove(each, actions);
  });
  row.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    menu(each, more, actions, { x: event.clientX, y: event.clientY });
  });
  return row;
}

/** Whether it is being answered, or has an answer that nobody has seen. */
function mark(each) {
  const [kind, words] = each.running ? ["running", t("being answered")] : isUnread(each.id) ? ["unread", t("new answer")] : [];
  if (!kind) return null;
  return h(`span.fs-mark.fs-is-${kind}`, { role: "img", "aria-label": words, title: words });
}

const chip = (tag, actions) =>
  h(
    "button.fs-tag",
    { type: "button", title: t("Chats tagged {tag}", { tag }), onclick: () => actions.tagged(tag) },
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
    seconds: UNDO_SECONDS,
  });
}

function menu(each, anchor, actions, point) {
  openMenu(
    anchor,
    [
      { label: each.pinned ? t("Unpin") : t("Pin"), icon: "pin", action: () => change("pin", { id: each.id, pinned: !each.pinned }) },
      { label: t("Rename"), icon: "pencil", action: () => rename(each.id, actions) },
      { label: t("Tags…"), icon: "tag", action: () => editTags(each) },
      { label: t("Duplicate"), icon: "copy", action: () => change("duplicate", { id: each.id }) },
      { label: each.archived ? t("Unarchive") : t("Archive"), icon: "archive", action: () => archive(each) },
      { label: t("Export…"), icon: "download", action: () => actions.exported(each) },
      { label: t("Delete"), icon: "trash", danger: true, action: () => remove(each, actions) },
    ],
    point,
  );
}

const change = (event, data) => send("sidebar", event, data);

function remove(each, actions) {
  actions.removed(each.id);
  change("remove", { id: each.id });
  notice(t("Deleted “{title}”.", each), {
    action: () => change("restore", { id: each.id }),
    label: t("Undo"),
    seconds: UNDO_SECONDS,
  });
}

function rename(id, actions) {
  // It may have been drawn anew since its menu was opened.
  const { each, row } = actions.shown(id);
  if (!row) return;
  const field = h("input.fs-rename", { type: "text", "aria-label": t("Chat title"), maxlength: "200" });
  field.value = each.title;
  let ended = false;
  const end = (keep) => {
    if (ended) return;
    ended = true;
    const title = field.value.trim();
    if (keep && title && title !== each.title) {
      each.title = title;
      change("rename", { id, title });
    }
    field.remove();
    actions.redraw(id, keep !== "away");
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
