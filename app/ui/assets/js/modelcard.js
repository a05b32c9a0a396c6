// One model in the panel or on the empty page: what it is, whether it fits, and what can be done with it.

import { h } from "./dom.js";
import { number, t } from "./i18n.js";
import { act } from "./shelf.js";
import { parameters, progressWords, size } from "./units.js";

const VERDICTS = { fits: "fits", tight: "tight", "does not fit": "not" };
const verdictWords = (verdict) => ({ fits: t("fits"), tight: t("tight"), "does not fit": t("does not fit") })[verdict];
const licenceOf = ({ licence }) => (/^apache-2\.0$/i.test(licence) ? "Apache-2.0" : licence);

/** Whether it fits this machine, as a small label; null where that is not known. */
export const verdictChip = ({ verdict }) => verdict && h(`span.fs-chip.fs-is-${VERDICTS[verdict]}`, {}, verdictWords(verdict));

/** "98 MB on disk, needs about 0.5 GB of memory, Apache-2.0" */
export function costs(entry) {
  const listed = entry.kind === "listed";
  const values = { size: size(entry.bytes), memory: size(entry.memory) };
  return [
    entry.bytes && (listed ? t("{size} to download", values) : t("{size} on disk", values)),
    entry.memory && (entry.estimated ? t("needs about {memory} of memory", values) : t("needs {memory} of memory", values)),
    licenceOf(entry) || (!listed && entry.kind !== "own" && entry.kind !== "given" && t("licence not told")),
  ]
    .filter(Boolean)
    .join(" · ");
}

const facts = (entry) =>
  [
    entry.family,
    entry.parameters && parameters(entry.parameters),
    entry.quantization && `${entry.quantization} (${t("{bits} bits", { bits: entry.bits.toFixed(1) })})`,
    entry.context && t("{count} tokens of context", { count: number(entry.context) }),
  ]
    .filter(Boolean)
    .join(" · ");

/** A card that is drawn anew when something but a download's progress has changed. */
export class ModelCard {
  /** options: mayChange(); redraw(); openSettings(), which shows what is recommended; brief, for little room; use, to
   *  load what was downloaded. */
  constructor(options) {
    this.options = options;
    this.refused = "";
    this.drawn = "";
    this.words = h("span");
    this.bar = h("progress.fs-progress");
    this.element = h("li.fs-card");
  }

  update(entry, download, state) {
    const told = download && { status: download.status, message: download.message };
    const key = JSON.stringify([entry, told, state?.recommended, state?.status, this.refused, this.options.mayChange()], (name, value) =>
      // What grows meanwhile is told by the bar: a button that is drawn anew loses the click on it.
      (name === "bytes" || name === "problem") && told?.status === "running" ? 0 : value,
    );
    this.entry = entry;
    if (download?.status === "running") this.#progress(download);
    if (key === this.drawn) return;
    this.drawn = key;
    const focused = this.element.contains(document.activeElement) && document.activeElement.textContent;
    this.#draw(entry, download, state);
    const buttons = [...this.element.querySelectorAll("button")];
    if (focused) (buttons.find((button) => button.textContent === focused) ?? buttons[0])?.focus();
  }

  #progress(download) {
    this.words.textContent = progressWords(download);
    this.bar.setAttribute("aria-label", t("Download of {name}", { name: download.name }));
    if (download.total_bytes) {
      this.bar.max = download.total_bytes;
      this.bar.value = download.done_bytes;
    } else this.bar.removeAttribute("value");
  }

  #draw(entry, download, state) {
    const { brief } = this.options;
    const title = (brief && entry.title.split(/[,，]/)[0]) || entry.title || entry.name;
    const running = download?.status === "running";
    const failed = download?.status === "failed" ? download.message : "";
    const partial = entry.whole_bytes > 0;
    const cancelled = partial && !running && !failed;
    // A refusal to use it names its problem.
    const problem = this.refused || failed || (!partial && !running && entry.problem);
    this.element.setAttribute("aria-label", title);
    this.element.classList.toggle("fs-loaded", entry.loaded);
    this.element.replaceChildren(
      h(
        "div.fs-card-head",
        {},
        h("strong", {}, title),
        entry.loaded && h("span.fs-chip.fs-in-use", {}, t("in use")),
        verdictChip(entry),
      ),
      ...[
        !brief && h("span", {}, facts(entry)),
        h("span", {}, costs(entry)),
        !brief && title !== entry.name && h("code", {}, entry.name),
        entry.reading && h("span", {}, t("Looking at its files…")),
        cancelled && h("span", {}, t("{done} of {total} have arrived", { done: size(entry.bytes), total: size(entry.whole_bytes) })),
        problem && h("span.fs-problem", { role: problem === entry.problem ? null : "alert" }, problem),
        running && h("div.fs-download", {}, this.bar, this.words),
        entry.loaded && this.#recommended(state),
        h("div.fs-card-actions", {}, ...this.#actions(entry, { running, failed, partial })),
      ].filter(Boolean),
    );
  }

  #recommended(state) {
    const named = {
      temperature: t("temperature"),
      top_k: "top-k",
      top_p: "top-p",
      min_p: "min-p",
      repetition_penalty: t("repetition penalty"),
      presence_penalty: t("presence penalty"),
      frequency_penalty: t("frequency penalty"),
    };
    const values = Object.entries(state?.recommended ?? {}).filter(([name]) => named[name]);
    if (!values.length) return null;
    const list = values.map(([name, value]) => `${named[name]} ${value}`).join(", ");
    return h(
      "span",
      {},
      `${t("Its publisher recommends {settings}.", { settings: list })} `,
      h("button.fs-link", { type: "button", onclick: this.options.openSettings }, t("Open settings")),
    );
  }

  #actions(entry, { running, failed, partial }) {
    if (!this.options.mayChange()) return [];
    const name = entry.title || entry.name;
    const button = (label, event, { primary = false, more = {}, named = "" } = {}) =>
      h(
        `button.fs-button.fs-small${primary ? ".fs-primary" : ""}`,
        { type: "button", "aria-label": `${label}: ${named || name}`, onclick: () => this.#do(event, more) },
        label,
      );
    if (running) return [button(t("Cancel"), "cancel_download")];
    if (entry.kind === "listed" || partial || failed) {
      const label = partial ? t("Resume") : failed ? t("Try again") : t("Download");
      return [
        button(label, "download_model", { primary: true, more: { use: this.options.use ?? false } }),
        partial && this.#remove(entry, name),
        failed && !partial && button(t("Dismiss"), "cancel_download"),
      ].filter(Boolean);
    }
    if (entry.loaded) return [];
    return [
      !entry.problem && !entry.reading && button(t("Use"), "use_model", { primary: entry.verdict !== "does not fit" }),
      entry.kind !== "given" && !this.options.brief && this.#remove(entry, name),
    ].filter(Boolean);
  }

  #remove(entry, name) {
    const ask = (event) => {
      const self = event.currentTarget;
      if (self.dataset.asked) return this.#do("remove_model", {});
      self.dataset.asked = "yes";
      self.classList.add("fs-danger");
      self.textContent = t("Remove {size} for good?", { size: size(entry.bytes) });
      self.setAttribute("aria-label", `${self.textContent} ${name}`);
    };
    return h("button.fs-button.fs-small", { type: "button", "aria-label": `${t("Remove")}: ${name}`, onclick: ask }, t("Remove"));
  }

  async #do(event, more) {
    this.refused = "";
    this.refused = await act(event, { name: this.entry.name, ...more });
    if (this.refused) {
      this.drawn = "";
      this.options.redraw();
    }
  }
}
