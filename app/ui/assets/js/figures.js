// What an answer cost and what it was made with: the first tab of its panel.

import { copyText, h } from "./dom.js";
import { registerPanelTab } from "./panel.js";

export const number = (value) => value.toLocaleString("en");
const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
const SETTINGS = {
  temperature: "Temperature",
  top_k: "Top-k",
  top_p: "Top-p",
  min_p: "Min-p",
  repetition_penalty: "Repetition penalty",
  presence_penalty: "Presence penalty",
  frequency_penalty: "Frequency penalty",
  max_tokens: "Max new tokens",
};

/** The figures of an answer in a few words, "" where nothing was measured. */
export function figuresLine({ new_tokens: tokens, tokens_per_second: speed }) {
  if (!tokens) return "";
  return speed ? `${number(tokens)} tokens · ${speed.toFixed(1)} tok/s` : `${number(tokens)} tokens`;
}

function copied(text, label) {
  const copy = h("button.fs-link", { type: "button", title: label }, text);
  copy.addEventListener("click", () => {
    copyText(text);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = text), 1200);
  });
  return copy;
}

function figureRows({ figures, finish_reason: reason }) {
  const count = (value) => (value === null ? null : `${number(value)} tokens`);
  return [
    ["Model", figures.model],
    ["New tokens", number(figures.new_tokens)],
    ["Speed", figures.tokens_per_second ? `${figures.tokens_per_second.toFixed(1)} tokens a second` : null],
    ["Time to first token", figures.ttft_ms === null ? null : seconds(figures.ttft_ms)],
    ["Prompt", count(figures.prompt_tokens)],
    ["Reused from before", count(figures.cached_tokens)],
    ["Reading the prompt", figures.prefill_ms === null ? null : seconds(figures.prefill_ms)],
    ["Writing", figures.decode_ms === null ? null : seconds(figures.decode_ms)],
    ["Ended by", { stop: "the model", length: "the limit", cancelled: "you" }[reason]],
  ];
}

function settingRows({ figures: { settings, seed } }) {
  const rows = Object.entries(SETTINGS).map(([name, label]) => [label, settings[name] ?? null]);
  if (settings.stop?.length) rows.push(["Stop strings", settings.stop.map((text) => JSON.stringify(text)).join(" ")]);
  if (seed !== null) rows.push(["Seed", copied(seed, "Copy the seed")]);
  return rows;
}

function table(title, rows) {
  const told = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!told.length) return null;
  const list = told.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value instanceof Node ? value : String(value))]);
  return h("section", {}, h("h3", {}, title), h("dl.fs-figures", {}, ...list));
}

registerPanelTab({
  id: "figures",
  label: "Figures",
  appliesTo: (message) => Boolean(message.figures?.new_tokens),
  mount(element, message) {
    const parts = [table("What it cost", figureRows(message)), table("What it was made with", settingRows(message))];
    element.append(...parts.filter(Boolean));
  },
});
