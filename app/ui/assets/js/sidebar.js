// The sidebar: brand, new chat, search and its filters, the list, archive, trash, import and export.

import { mountAccount } from "./account.js";
import { h, icon, iconButton } from "./dom.js";
import { mountFilters } from "./filters.js";
import { t } from "./i18n.js";
import { openImport } from "./import.js";
import { enterList, exportChats, mountList, refresh, showList } from "./list.js";
import { openTrash, whenTrashClosed } from "./trash.js";
import { openView } from "./view.js";

const SEARCH_MS = 120;

let input, foot;
let archived = false;
let timer = null;

/** Fill the sidebar; actions: open(id), jump(id), create(), close(), isOpen(id), active(). */
export function mountSidebar(element, actions) {
  input = h("input", { type: "search", placeholder: t("Search chats"), "aria-label": t("Search chats"), autocomplete: "off" });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, SEARCH_MS);
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown") {
      event.preventDefault();
      enterList();
    }
    if (event.key !== "Escape") return;
    event.stopPropagation();
    if (input.value) {
      input.value = "";
      input.dispatchEvent(new Event("input"));
    } else input.blur();
  });
  const filters = mountFilters(look, actions.active);
  const tagged = (tag) => {
    input.value = `#${tag}`;
    look();
  };
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
    ...mountList({ ...actions, tagged }),
    (foot = h("div.fs-side-foot")),
    mountAccount(),
  );
  drawFoot();
  whenTrashClosed(refreshList);
  look();
}

/** Bring the whole list in line with the server. */
export const refreshList = () => refresh(null);

function look() {
  clearTimeout(timer);
  timer = null;
  showList({ query: input.value.trim(), archived });
}

/** Show the archive in place of the list, or the list again. */
function showArchive(into) {
  archived = into;
  drawFoot();
  look();
}

function drawFoot() {
  const turn = archived
    ? h("button.fs-button", { type: "button", onclick: () => showArchive(false) }, icon("left"), t("All chats"))
    : iconButton("archive", t("Archive"), () => showArchive(true));
  const bin = iconButton("trash", t("Trash"), openTrash);
  const bring = iconButton("upload", t("Import chats"), openImport);
  const take = iconButton("download", t("Export chats"), () => {
    // What is typed may not be searched for yet.
    if (timer !== null) look();
    exportChats();
  });
  const notebook = iconButton("notebook", t("Notebook"), () => openView("notebook"));
  foot.replaceChildren(turn, bin, notebook, bring, take);
}

export function focusSearch() {
  input.focus();
  input.select();
}
