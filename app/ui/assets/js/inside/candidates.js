// Candidates for a place in a text: a row each, with its probability and what the settings made of it.

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { percent } from "./scales.js";
import { nameOf } from "./words.js";

const NAMES = {
  top_k: "top-k",
  top_p: "top-p",
  min_p: "min-p",
  temperature: () => t("temperature"),
  repetition_penalty: () => t("repetition penalty"),
  presence_penalty: () => t("presence penalty"),
  frequency_penalty: () => t("frequency penalty"),
};
const nameOfSetting = (name) => (typeof NAMES[name] === "function" ? NAMES[name]() : (NAMES[name] ?? name));
// What changes nothing.
const NEUTRAL = { top_k: 0, top_p: 1, min_p: 0, repetition_penalty: 1, presence_penalty: 0, frequency_penalty: 0 };

/** A button for each candidate of `told`, as /inside/token and /inside/next give them. */
export function candidateRows(told, choose) {
  // One scale for what the model gave and what the settings made of it.
  const highest = Math.max(...told.candidates.map(({ logprob, share }) => Math.max(Math.exp(logprob ?? -Infinity), share ?? 0)));
  const width = (probability) => `${(100 * probability) / highest}%`;
  return told.candidates.map((candidate) => {
    const { logprob, rank, chosen, kept } = candidate;
    const bar = h("span.fs-bar", {}, h("i"), h("b"));
    bar.firstChild.style.width = width(Math.exp(logprob ?? -Infinity));
    bar.lastChild.style.width = width(candidate.share ?? 0);
    let title = t("Rank {rank}, log-probability {logprob}", { rank: rank ?? "?", logprob: logprob?.toFixed(4) ?? "?" });
    if (candidate.penalty) title += `, ${t("penalties {amount}", { amount: candidate.penalty.toFixed(2) })}`;
    const row = h(
      "button.fs-candidate",
      { type: "button", title, "aria-current": chosen ? "true" : null, onclick: () => choose(candidate) },
      h("span.fs-candidate-name", {}, nameOf(candidate)),
      bar,
      h("span.fs-candidate-share", {}, logprob === null ? "?" : percent(Math.exp(logprob))),
      drawn(candidate),
    );
    row.dataset.token = candidate.id;
    row.classList.toggle("fs-dropped", kept === false);
    return row;
  });
}

/** With what probability the settings let it be drawn, or which of them dropped it. */
function drawn({ share, kept, dropped_by: by }) {
  if (kept === false) {
    const setting = nameOfSetting(by);
    return h("span.fs-drawn", { title: t("Dropped by {setting}", { setting }) }, `✕ ${setting}`);
  }
  if (share === null) return h("span.fs-drawn", { title: kept ? t("Kept; of the rest too little is stored to tell the share") : t("Not known from what is stored") }, kept ? "✓" : "?");
  return h("span.fs-drawn", { title: t("Drawn with this probability under these settings") }, `→ ${percent(share)}`);
}

/** The settings that had a part, and how many tokens each left, in one line. */
export function settingsLine({ settings, kept }) {
  const active = Object.keys(NEUTRAL).filter((name) => settings[name] !== undefined && settings[name] !== NEUTRAL[name]);
  const words = (name) => {
    const left = kept?.[name];
    const said = `${nameOfSetting(name)} ${settings[name]}`;
    return left === undefined || left === null ? said : t("{setting} leaves {count}", { setting: said, count: left });
  };
  const parts = [...(settings.temperature === undefined ? [] : [`${t("temperature")} ${settings.temperature}`]), ...active.map(words)];
  return h("p.fs-inside-help", {}, parts.length ? `→ ${parts.join(" · ")}` : t("Without settings"));
}
