// Sliders for the settings of a distribution, quick enough to see the bars move with them.

import { h } from "../dom.js";
import { t } from "../i18n.js";

const SLIDERS = () => [
  ["temperature", t("Temperature"), 0, 2, 0.05, 1],
  ["top_k", t("Top-k"), 0, 100, 1, 0],
  ["top_p", t("Top-p"), 0.01, 1, 0.01, 1],
  ["min_p", t("Min-p"), 0, 0.99, 0.01, 0],
  ["repetition_penalty", t("Repetition penalty"), 0.5, 2, 0.01, 1],
  ["presence_penalty", t("Presence penalty"), -2, 2, 0.05, 0],
  ["frequency_penalty", t("Frequency penalty"), -2, 2, 0.05, 0],
];
const LENGTH = () => ["max_tokens", t("Tokens to write"), 1, 500, 1, 64];

export class Controls {
  /** change(): a value that matters to the distribution has changed. length: with how much to write. values: to begin
   *  with, by name. */
  constructor(change, length, values = {}) {
    this.values = {};
    this.element = h("div.fs-controls");
    for (const each of SLIDERS()) {
      each[5] = values[each[0]] ?? each[5];
      this.element.append(this.slider(each, change));
    }
    if (length) this.element.append(this.slider(LENGTH(), () => {}));
  }

  slider([name, label, min, max, step, value], change) {
    this.values[name] = value;
    const input = h("input", { type: "range", min, max, step, "aria-label": label });
    input.value = value;
    const shown = h("output", {}, String(value));
    input.addEventListener("input", () => {
      this.values[name] = Number(input.value);
      shown.textContent = input.value;
      change();
    });
    return h("label.fs-control-row", {}, h("span", {}, label), input, shown);
  }
}
