// What a search is narrowed to: the dialog that asks for it, and the chips that tell.

import { receive, send } from "./bridge.js";
import { h, icon, iconButton } from "./dom.js";
import { t } from "./i18n.js";

const WHO = { user: t("By you"), assistant: t("By the model") };

let filters = {};
let chips, button;
let onChange = () => {};
let here = () => "";

/** What Python is sent; dates are the user's, times are in UTC. */
export function askedFor() {
  const { since, until, ...rest } = filters;
  return { ...rest, ...(since && { since: utc(since, 0) }), ...(until && { until: utc(until, 1) }) };
}

const utc = (day, later) => {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + later).toISOString().replace("Z", "+00:00");
};

/** The button beside the search box and the chips below it; open: the id of the open conversation. */
export function mountFilters(changed, open) {
  onChange = changed;
  here = open;
  chips = h("div.fs-chips", { hidden: true });
  button = iconButton("filter", t("Filter the search"), () => send("sidebar", "choices"), "button.fs-icon.fs-filter");
  return { button, chips };
}

function set(fresh) {
  filters = Object.fromEntries(Object.entries(fresh).filter(([, value]) => value));
  const without = (name) => set({ ...filters, [name]: "" });
  const words = {
    role: WHO[filters.role],
    model: filters.model,
    since: t("From {day}", { day: filters.since }),
    until: t("To {day}", { day: filters.until }),
    tag: `#${filters.tag}`,
    pinned: t("Pinned"),
    conversation_id: t("This chat"),
  };
  const chip = (name) =>
    h("button.fs-chip", { type: "button", title: t("Remove this filter"), onclick: () => without(name) }, words[name], icon("close"));
  chips.replaceChildren(...Object.keys(filters).map(chip));
  chips.hidden = !chips.childElementCount;
  button.classList.toggle("fs-on", !chips.hidden);
  onChange();
}

function ask({ models, tags }) {
  const select = (name, label, choices) =>
    field(label, h("select.fs-input", { name, "aria-label": label }, ...choices.map(([value, words]) => h("option", { value, selected: value === (filters[name] ?? "") }, words))));
  const day = (name, label) => {
    const input = h("input.fs-input", { type: "date", name, "aria-label": label });
    input.value = filters[name] ?? "";
    return field(label, input);
  };
  const check = (name, label, value) =>
    h("label.fs-check", {}, h("input", { type: "checkbox", name, value, checked: Boolean(filters[name]) }), label);
  const all = (words, names) => [["", words], ...names.map((name) => [name, name])];
  const form = h(
    "form.fs-filters",
    { method: "dialog" },
    h("h3", {}, t("Search only")),
    select("role", t("Written by"), [["", t("Anyone")], ...Object.entries({ user: t("You"), assistant: t("The model") })]),
    select("model", t("Model"), all(t("Any model"), models)),
    h("div.fs-two", {}, day("since", t("From")), day("until", t("To"))),
    select("tag", t("Tag"), all(t("Any tag"), tags)),
    check("pinned", t("Pinned chats"), "yes"),
    here() && check("conversation_id", t("The open chat"), here()),
    h(
      "div.fs-dialog-row",
      {},
      h("button.fs-button", { type: "button", onclick: () => end({}) }, t("Clear")),
      h("button.fs-button.fs-primary", { type: "submit" }, t("Apply")),
    ),
  );
  const dialog = h("dialog.fs-dialog", { "aria-label": t("Filter the search") }, form);
  const end = (chosen) => {
    dialog.close();
    set(chosen);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = Object.fromEntries(new FormData(form));
    end({ ...chosen, pinned: chosen.pinned === "yes" });
  });
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

const field = (label, control) => h("label.fs-field", {}, h("span", {}, label), control);

receive("sidebar", { choices: ask });
