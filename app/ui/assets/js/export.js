// Taking chats elsewhere: which ones, in what format, and what that format leaves out.

import { mountChoice } from "./choose.js";
import { h } from "./dom.js";
import { number, t } from "./i18n.js";

const REST_MS = 150;
// As many as the server takes one by one.
const MOST_CHOSEN = 500;

/** Ask how to export. each: the chat it is about, or none; query, filters: what the list is searched for and narrowed to. */
export async function openExport({ each = null, query = "", filters = {} }) {
  const formats = await (await fetch("/export")).json();
  const scopes = [
    each && ["one", t("“{title}”", { title: each.title })],
    (query || Object.keys(filters).length > 0) &&
      ["found", query ? t("Chats found by “{query}”", { query }) : t("Chats that the filter leaves")],
    ["all", t("All chats")],
    ["chosen", t("Chosen chats…")],
  ].filter(Boolean);
  const scope = select(t("Chats"), scopes);
  const format = select(t("Format"), formats.map(({ name, label }) => [name, label]));
  const { element: choice, ids: chosen } = mountChoice(each?.id, () => look());
  const [branches, branchesRow] = check(t("Every branch, not only the one shown"));
  const [zip, zipRow] = check(t("A zip with a file for each chat"));
  const lost = h("p.fs-export-lost", { role: "status" });
  const save = h("a.fs-button.fs-primary", { download: "" }, t("Download"));
  const dialog = h(
    "dialog.fs-dialog.fs-export",
    { "aria-label": t("Export chats") },
    h("h3", {}, t("Export chats")),
    h("div.fs-filters", {}, field(t("Chats"), scope), choice, field(t("Format"), format), branchesRow, zipRow, lost),
    h("div.fs-dialog-row", {}, h("button.fs-button", { type: "button", onclick: () => dialog.close() }, t("Cancel")), save),
  );

  const address = (start) => {
    const ids = { one: () => [each.id], chosen }[scope.value]?.() ?? [];
    const parameters = new URLSearchParams(scope.value === "found" ? { ...filters, query } : {});
    if (branches.checked && !branchesRow.hidden) parameters.set("branches", "all");
    if (zip.checked && !zipRow.hidden) parameters.set("zip", "1");
    return `${start}/${format.value}${ids.length ? `/${ids.join(",")}` : ""}${parameters.size ? `?${parameters}` : ""}`;
  };

  let timer = null;
  let asked = 0;
  async function look() {
    const kind = formats.find(({ name }) => name === format.value);
    const several = scope.value === "chosen" ? chosen().length !== 1 : scope.value !== "one";
    choice.hidden = scope.value !== "chosen";
    branchesRow.hidden = !kind.chooses;
    zipRow.hidden = !several || kind.single;
    const count = scope.value === "chosen" ? chosen().length : 1;
    const wrong = !count
      ? t("Choose at least one chat.")
      : count > MOST_CHOSEN
        ? t("At most {count} chats can be chosen one by one: take what a search finds, or all.", { count: number(MOST_CHOSEN) })
        : "";
    save.toggleAttribute("aria-disabled", Boolean(wrong));
    if (wrong) save.removeAttribute("href");
    else save.setAttribute("href", address("/export"));
    clearTimeout(timer);
    timer = setTimeout(() => tell(wrong, ++asked), REST_MS);
  }

  async function tell(wrong, mine) {
    if (wrong) {
      lost.textContent = wrong;
      return;
    }
    const response = await fetch(address("/left-out"));
    const { chats, lines, error } = await response.json();
    if (mine !== asked) return;
    const count = response.ok && t("Chats: {count}.", { count: number(chats) });
    lost.textContent = !response.ok
      ? error
      : lines.length
        ? `${count} ${t("This format has no place for: {what}.", { what: lines.join(", ") })}`
        : `${count} ${t("This format has a place for everything in them.")}`;
  }

  dialog.addEventListener("change", look);
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("close", () => dialog.remove());
  save.addEventListener("click", () => setTimeout(() => dialog.close()));
  document.body.append(dialog);
  dialog.showModal();
  look();
}

const field = (name, control) => h("label.fs-field", {}, name, control);

function select(name, options) {
  const made = options.map(([value, label]) => h("option", { value }, label));
  return h("select.fs-input", { "aria-label": name }, ...made);
}

function check(text) {
  const box = h("input", { type: "checkbox" });
  return [box, h("label.fs-check", {}, box, text)];
}
