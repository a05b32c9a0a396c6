// What an answer cost and what it was made with: the first tab of its panel.

import { copyText, h } from "./dom.js";
import { number, t } from "./i18n.js";
import { registerPanelTab } from "./panel.js";

const seconds = (ms) => (ms < 1000 ? t("{count} ms", { count: Math.round(ms) }) : t("{count} s", { count: (ms / 1000).toFixed(1) }));
const SETTINGS = {
  temperature: t("Temperature"),
  top_k: t("Top-k"),
  top_p: t("Top-p"),
  min_p: t("Min-p"),
  repetition_penalty: t("Repetition penalty"),
  presence_penalty: t("Presence penalty"),
  frequency_penalty: t("Frequency penalty"),
  max_tokens: t("Max new tokens"),
};

/** The figures of an answer in a few words, "" where nothing was measured. */
export function figuresLine({ new_tokens: tokens, tokens_per_second: speed }) {
  if (!tokens) return "";
  const count = t("{count} tokens", { count: number(tokens) });
  return speed ? `${count} · ${t("{speed} tok/s", { speed: speed.toFixed(1) })}` : count;
}

function copied(text, label) {
  const copy = h("button.fs-link", { type: "button", title: label }, text);
  copy.addEventListener("click", () => {
    copyText(text);
    copy.textContent = t("Copied");
    setTimeout(() => (copy.textContent = text), 1200);
  });
  return copy;
}

function figureRows({ figures, finish_reason: reason }) {
  const count = (value) => (value === null ? null : t("{count} tokens", { count: number(value) }));
  return [
    [t("Model"), figures.model],
    [t("New tokens"), number(figures.new_tokens)],
    [t("Speed"), figures.tokens_per_second ? t("{speed} tokens a second", { speed: figures.tokens_per_second.toFixed(1) }) : null],
    [t("Time to first token"), figures.ttft_ms === null ? null : seconds(figures.ttft_ms)],
    [t("Prompt"), count(figures.prompt_tokens)],
    [t("Reused from before"), count(figures.cached_tokens)],
    [t("Reading the prompt"), figures.prefill_ms === null ? null : seconds(figures.prefill_ms)],
    [t("Writing"), figures.decode_ms === null ? null : seconds(figures.decode_ms)],
    [t("Ended by"), { stop: t("the model"), length: t("the limit"), cancelled: t("you") }[reason]],
  ];
}

function settingRows({ figures: { settings, seed } }) {
  const rows = Object.entries(SETTINGS).map(([name, label]) => [label, settings[name] ?? null]);
  if (settings.stop?.length) rows.push([t("Stop strings"), settings.stop.map((text) => JSON.stringify(text)).join(" ")]);
  if (seed !== null) rows.push([t("Seed"), copied(seed, t("Copy the seed"))]);
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
  label: t("Figures"),
  appliesTo: (message) => Boolean(message.figures?.new_tokens),
  mount(element, message) {
    const parts = [table(t("What it cost"), figureRows(message)), table(t("What it was made with"), settingRows(message))];
    element.append(...parts.filter(Boolean));
  },
});
