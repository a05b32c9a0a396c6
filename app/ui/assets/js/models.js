// The panel of models: what is on disk, what is worth fetching, and how far a change is.

import { h, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { ModelCard } from "./modelcard.js";
import { act, signal, watchShelf } from "./shelf.js";
import { size } from "./units.js";

let dialog = null;
let openSettings = () => {};
const sections = [];

/** Where the settings are shown that a model's publisher recommends. */
export function whenSettingsWanted(callback) {
  openSettings = callback;
}

/** Have the panel show another section below the models of this computer: `build()` makes its element at each opening. */
export function addModelsSection(build) {
  sections.push(build);
}

/** Open the panel, or bring it to the front. */
export function openModels() {
  if (dialog) return;
  const cards = new Map();
  let latest = null;
  let asked = ""; // the name that was typed, until its card is there
  const close = () => dialog?.close();
  const head = h("p.fs-models-room");
  const now = h("div.fs-models-now");
  const own = h("ul.fs-cards", { "aria-label": t("On this computer") });
  const best = h("ul.fs-cards", { "aria-label": t("The best that fit this computer") });
  const more = h("ul.fs-cards", { "aria-label": t("More to download") });
  const section = (title, list) => h("section", {}, h("h4", {}, title), list);
  const parts = {
    own: section(t("On this computer"), own),
    best: section(t("The best that fit this computer"), best),
    more: section(t("More to download"), more),
  };
  const byName = nameForm((name) => {
    asked = name;
    draw(latest);
  });

  function draw(shelf) {
    if (!shelf) return;
    latest = shelf;
    head.textContent = shelf.error ?? t("{memory} of memory and {disk} on the disk are free", { memory: size(shelf.free_memory), disk: size(shelf.free_disk) });
    now.replaceChildren(...stateLines(shelf, close));
    const entries = [...(shelf.entries ?? []), ...strangers(shelf)];
    const listed = entries.filter((entry) => entry.kind === "listed");
    const suggested = listed.filter((entry) => entry.suggested).sort((one, other) => one.suggested - other.suggested);
    fill(own, entries.filter((entry) => entry.kind !== "listed").sort((one, other) => other.loaded - one.loaded));
    fill(best, suggested);
    fill(more, listed.filter((entry) => !entry.suggested));
    parts.best.hidden = !suggested.length;
    byName.element.hidden = !shelf.may_change;
    if (cards.get(asked)?.element.isConnected) {
      // It may be out of sight, with all that is told of it.
      cards.get(asked).element.scrollIntoView({ block: "center" });
      cards.get(asked).element.querySelector("button")?.focus({ preventScroll: true });
      asked = "";
    }

    function fill(list, wanted) {
      const items = wanted.map((entry) => {
        let card = cards.get(entry.name);
        if (!card) {
          card = new ModelCard({
            mayChange: () => latest.may_change,
            openSettings: () => {
              close();
              openSettings();
            },
            redraw: () => draw(latest),
          });
          cards.set(entry.name, card);
        }
        card.update(entry, shelf.downloads[entry.name], shelf.state);
        return card.element;
      });
      if (items.length !== list.children.length || items.some((item, at) => list.children[at] !== item)) list.replaceChildren(...items);
    }
  }

  dialog = h(
    "dialog.fs-dialog.fs-models",
    { "aria-label": t("Models") },
    h("div.fs-models-head", {}, h("h3", {}, t("Models")), iconButton("close", t("Close"), close)),
    head,
    now,
    parts.own,
    ...sections.map((build) => build()),
    parts.best,
    byName.element,
    parts.more,
  );
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && outside(event) && close());
  const end = watchShelf(draw);
  dialog.addEventListener("close", () => {
    end();
    dialog.remove();
    dialog = null;
    document.querySelector(".fs-model-button")?.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}

function outside({ clientX: x, clientY: y }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return x < left || x > right || y < top || y > bottom;
}

/** Downloads of models that are not on any list yet. */
function strangers({ entries = [], downloads = {} }) {
  const known = new Set(entries.map((entry) => entry.name));
  return Object.values(downloads)
    .filter((download) => !known.has(download.name) && ["running", "failed"].includes(download.status))
    .map((download) => ({ name: download.name, title: "", kind: "hub", licence: "", bytes: 0, memory: 0, whole_bytes: 0, problem: "" }));
}

/** What is said above the list: that a model is being loaded and what it waits for, or why one was not. */
function stateLines({ state, may_change: mayChange }, close) {
  const lines = [];
  const button = (label, event) => h("button.fs-button.fs-small", { type: "button", onclick: () => signal(event) }, label);
  if (state.trouble) lines.push(h("p.fs-problem", { role: "alert" }, state.trouble));
  if (state.status === "ready") return lines;
  const failed = state.status === "failed";
  lines.push(h(`p${failed ? ".fs-problem" : ""}`, { role: failed ? "alert" : "status" }, state.message));
  if (state.total_bytes && !failed) {
    lines.push(h("progress.fs-progress", { "aria-label": t("Model progress"), max: state.total_bytes, value: state.done_bytes }));
  }
  if (mayChange && state.answers) {
    lines.push(h("div.fs-card-actions", {}, button(t("Stop the answers now"), "hurry_switch"), button(t("Keep the model as it is"), "keep_model")));
  }
  if (mayChange && failed) lines.push(h("div.fs-card-actions", {}, button(t("Retry"), "retry_model")));
  return lines;
}

/** A field for any model of the Hugging Face hub; taken(name): called with what is being fetched. */
function nameForm(taken) {
  const hint = t("OWNER/NAME of Hugging Face, or OWNER/NAME:FILE.gguf for one file");
  const field = h("input.fs-input", { type: "text", maxlength: 300, "aria-label": t("Name on Hugging Face"), placeholder: "hf:OWNER/NAME", "aria-describedby": "fs-hub-hint", autocomplete: "off", spellcheck: "false" });
  const refusal = h("p.fs-problem", { role: "alert", hidden: true });
  const element = h(
    "form.fs-hub",
    {},
    h("h4", {}, t("Another model of Hugging Face")),
    h("div.fs-hub-row", {}, field, h("button.fs-button", { type: "submit" }, t("Download"))),
    h("p.fs-hint", { id: "fs-hub-hint" }, hint),
    refusal,
  );
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    const typed = field.value.trim().replace(/^https:\/\/huggingface\.co\//, "");
    if (!typed) return;
    const name = typed.includes("/") && !typed.startsWith("hf:") ? `hf:${typed}` : typed;
    const refused = await act("download_model", { name, use: false });
    refusal.textContent = refused;
    refusal.hidden = !refused;
    if (refused) return;
    field.value = "";
    taken(name);
  });
  return { element };
}
