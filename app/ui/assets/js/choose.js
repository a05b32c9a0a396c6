// Choosing among all chats, archived ones too: searched for, a page of them at a time; what is ticked stays ticked.

import { h } from "./dom.js";
import { number, t } from "./i18n.js";

const SEARCH_MS = 120;

/** What is to be placed in a dialog, and `ids()`, those that are ticked. first: an id that is from the start;
 * changed(): after each tick. */
export function mountChoice(first, changed) {
  const picked = new Set(first ? [first] : []);
  const input = h("input.fs-input", { type: "search", placeholder: t("Search chats"), "aria-label": t("Search the chats to choose") });
  const list = h("div.fs-choice-list");
  const count = h("span", { role: "status" });
  const button = (label, action) => h("button.fs-link", { type: "button", onclick: action }, label);
  const more = button(t("Show more"), () => load());
  const every = button(t("Choose all shown"), () => tickAll(true));
  const none = button(t("Choose none"), () => tickAll(false));
  const element = h(
    "div.fs-export-choice",
    { role: "group", "aria-label": t("Chosen chats…") },
    input,
    list,
    h("div.fs-choice-foot", {}, count, every, none, more),
  );

  let place = { archived: false, skip: 0 };
  let latest = null;
  let timer = null;

  async function load(fresh = false) {
    if (fresh) place = { archived: false, skip: 0 };
    latest?.abort();
    const mine = (latest = new AbortController());
    try {
      const parameters = new URLSearchParams({ query: input.value.trim(), ...place });
      const response = await fetch(`/conversations?${parameters}`, { cache: "no-store", signal: mine.signal });
      if (!response.ok) return;
      const { conversations, more: goesOn } = await response.json();
      if (fresh) list.replaceChildren();
      list.append(...conversations.map(row));
      const { archived, skip } = place;
      place = goesOn ? { archived, skip: skip + conversations.length } : { archived: true, skip: 0 };
      more.hidden = archived && !goesOn;
      // The archive comes after the rest; few chats are not worth a press of a button.
      if (!archived && !goesOn) await load();
    } catch {
      // Something else was asked for meanwhile, or the server is gone.
    }
  }

  function row({ id, title }) {
    const box = h("input", { type: "checkbox", value: id });
    box.checked = picked.has(id);
    box.addEventListener("change", () => tick([box], box.checked));
    return h("label.fs-check", {}, box, h("span", {}, title || t("Without a title")));
  }

  function tickAll(on) {
    if (!on) picked.clear();
    tick([...list.querySelectorAll("input")], on);
  }

  function tick(boxes, on) {
    for (const box of boxes) {
      box.checked = on;
      picked[on ? "add" : "delete"](box.value);
    }
    tell();
    changed();
  }

  const tell = () => {
    count.textContent = t("Chosen: {count}", { count: number(picked.size) });
    none.hidden = !picked.size;
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => load(true), SEARCH_MS);
  });
  input.addEventListener("change", (event) => event.stopPropagation());
  tell();
  load(true);
  return { element, ids: () => [...picked] };
}
