// The first view into an answer: its tokens, coloured by how the model judged them, each a way to another answer.

import { h } from "../dom.js";
import { number, t } from "../i18n.js";
import { registerPanelTab } from "../panel.js";
import { openAlternatives } from "./alternatives.js";
import { percent, scales, STEPS } from "./scales.js";
import { fill, post } from "./service.js";
import { TokenFlow } from "./token_flow.js";

const COLOURING = "fireside.colouring";

function remembered() {
  try {
    const name = localStorage.getItem(COLOURING);
    return name in scales() ? name : "probability";
  } catch {
    return "probability";
  }
}

function remember(name) {
  try {
    localStorage.setItem(COLOURING, name);
  } catch {
    // Only a preference is lost.
  }
}

/** Radio buttons for the colouring, and what the colours mean. */
export function legend(choose) {
  const all = scales();
  const chosen = remembered();
  const scale = h("div.fs-scale", { "aria-hidden": "true" });
  const help = h("p.fs-inside-help");
  const say = (name) => {
    const steps = Array.from({ length: STEPS }, (_, step) => h(`i.fs-p${step}`));
    scale.replaceChildren(h("span", {}, all[name].low), ...steps, h("span", {}, all[name].high));
    help.textContent = all[name].help;
  };
  const radio = ([name, { label }]) => {
    const input = h("input", { type: "radio", name: "fs-colouring", value: name, checked: name === chosen });
    input.addEventListener("change", () => {
      say(name);
      remember(name);
      choose(name);
    });
    return h("label.fs-segment", {}, input, h("span", {}, label));
  };
  say(chosen);
  const segments = Object.entries(all).map(radio);
  return h(
    "div.fs-legend",
    {},
    h("div.fs-legend-row", {}, h("div.fs-segments", { role: "radiogroup", "aria-label": t("Colour by") }, ...segments), scale),
    help,
  );
}

/** What can be said of all tokens together. */
function summary({ logprobs }, flow) {
  const known = logprobs.map((each, at) => [each, at]).filter(([each]) => each !== null);
  if (!known.length) return null;
  const mean = known.reduce((sum, [each]) => sum + each, 0) / known.length;
  const [least, at] = known.reduce((best, each) => (each[0] < best[0] ? each : best));
  const words = t("{count} tokens · perplexity {perplexity}", {
    count: number(logprobs.length),
    perplexity: Math.exp(-mean).toFixed(2),
  });
  const go = h("button.fs-link", { type: "button", onclick: () => flow.choose(at, true) });
  go.textContent = t("least likely: {percent}", { percent: percent(Math.exp(least)) });
  return h("p.fs-token-summary", {}, words, " · ", go);
}

/** In place of probabilities that are not there: the way to them, or why there is none. */
function scoring(element, message, told) {
  const words = told.can_keep ? null : t("The tokens of this answer are another model's.");
  const why = h("p.fs-remark", {}, words ?? t("This text came without probabilities: it was imported, written by hand or comes from another server."));
  if (told.can_score) return [why, h("p.fs-remark", {}, told.can_score)];
  const refusal = h("p.fs-refusal", { role: "alert", hidden: true });
  const button = h("button.fs-button", { type: "button" }, t("Score this text"));
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = t("Reading…");
    refusal.hidden = true;
    try {
      show(element, message, await post(`score/${message.id}`, { store: told.can_keep }));
      element.querySelector("[tabindex='0']")?.focus();
    } catch (error) {
      button.disabled = false;
      button.textContent = t("Score this text");
      refusal.textContent = error.message;
      refusal.hidden = false;
    }
  });
  const help = told.can_keep
    ? t("The loaded model reads it once and tells how likely it holds each token. The text stays as it is.")
    : t("The loaded model reads it once. The tokens that another model kept with it stay, so this is not kept.");
  return [why, button, refusal, h("p.fs-inside-help", {}, help)];
}

function show(element, message, told) {
  const flow = new TokenFlow(told, remembered(), (at, span) => openAlternatives(span, at, flow, message));
  const parts = told.probabilities ? [legend((name) => flow.colour(name)), summary(told, flow)] : scoring(element, message, told);
  if (told.scored) parts.push(h("p.fs-inside-help", {}, t("Scored afterwards by {model}.", { model: told.scored.model })));
  if (told.branch) {
    parts.push(h("p.fs-inside-help", {}, t("Branched at token {at}: what stands before it is kept from another answer.", { at: number(told.branch.at + 1) })));
  }
  element.replaceChildren(...parts.filter(Boolean), flow.element);
}

registerPanelTab({
  id: "tokens",
  label: t("Tokens"),
  appliesTo: (message) => message.role === "assistant" && Boolean(message.content || message.reasoning),
  mount: (element, message) => fill(element, `tokens/${message.id}?count=100000`, (told) => show(element, message, told)),
});
