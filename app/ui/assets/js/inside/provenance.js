// Where an answer comes from: everything that made it, in one place.

import { copyWith, h } from "../dom.js";
import { number, t } from "../i18n.js";
import { registerPanelTab } from "../panel.js";
import { fill } from "./service.js";
import { nameOf } from "./words.js";

const figure = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);

function table(title, rows) {
  const told = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!told.length) return null;
  const list = told.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value instanceof Node ? value : String(value))]);
  return h("section", {}, h("h3", {}, title), h("dl.fs-figures", {}, ...list));
}

const LAYERS = {
  model: () => t("the model's advice"),
  preset: () => t("the preset"),
  conversation: () => t("this chat"),
  message: () => t("this answer"),
  default: () => t("Fireside's default"),
};

const value = (each) => (Array.isArray(each) || (each && typeof each === "object") ? JSON.stringify(each) : String(each));

function settings({ settings: all, preset, seed, seed_given: given }) {
  if (!all.length && seed === null) return null;
  const origin = ({ from }) => (from === "preset" && preset ? t("the preset {name}", { name: preset }) : (LAYERS[from]?.() ?? t("not known")));
  const head = h("tr", {}, ...[t("Setting"), t("Value"), t("From")].map((name) => h("th", { scope: "col" }, name)));
  const rows = all
    .filter((each) => each.value !== null && each.name !== "seed" && each.name !== "logprobs")
    .map((each) => h("tr", {}, h("th", { scope: "row" }, each.name), h("td", {}, value(each.value)), h("td", {}, origin(each))));
  if (seed !== null) {
    const how = given ? t("chosen") : given === false ? t("drawn") : t("not known");
    rows.push(h("tr", {}, h("th", { scope: "row" }, "seed"), h("td", {}, String(seed)), h("td", {}, how)));
  }
  return h("section", {}, h("h3", {}, t("Settings")), h("table.fs-plain-table", {}, h("thead", {}, head), h("tbody", {}, ...rows)));
}

/** Queue, reading and writing as parts of one bar. */
function times({ times: { queue_ms: queue, prefill_ms: prefill, decode_ms: decode, ttft_ms: first }, tokens }) {
  const parts = [
    ["queue", t("Waiting"), queue],
    ["prefill", t("Reading the prompt"), prefill],
    ["decode", t("Writing"), decode],
  ].filter(([, , ms]) => ms !== null && ms !== undefined);
  const total = parts.reduce((sum, [, , ms]) => sum + ms, 0);
  if (!total) return null;
  const words = parts.map(([, name, ms]) => `${name} ${figure(ms)}`);
  const bar = h("div.fs-time-bar", { role: "img", "aria-label": words.join(", ") });
  for (const [kind, , ms] of parts) {
    const part = h(`i.fs-time-${kind}`);
    part.style.flexGrow = String(ms / total);
    bar.append(part);
  }
  const legend = parts.map(([kind, name, ms]) =>
    h("li", {}, h(`i.fs-time-${kind}`), name, " ", h("b", {}, figure(ms)), ` ${Math.round((100 * ms) / total)}%`),
  );
  const rows = [
    [t("First token after"), first === null ? null : figure(first)],
    [t("Tokens of the prompt"), tokens.prompt === null ? null : number(tokens.prompt)],
    [t("Reused from before"), tokens.reused === null ? null : number(tokens.reused)],
    [t("Restored from disk"), tokens.restored ? number(tokens.restored) : null],
    [t("New tokens"), tokens.new === null ? null : number(tokens.new)],
  ];
  const section = table(t("Time"), rows) ?? h("section", {}, h("h3", {}, t("Time")));
  section.querySelector("h3").after(bar, h("ul.fs-time-legend", {}, ...legend));
  return section;
}

const REASONS = {
  dropped: () => t("older than what fits into the context"),
  excluded: () => t("left out by you"),
  "too long": () => t("did not fit by itself"),
  failed: () => t("an answer that failed"),
  empty: () => t("nothing in it"),
};

function sight({ sight: { in: seen, out, known } }) {
  const who = (role) => ({ user: t("You"), assistant: "Fireside", system: t("System prompt") })[role] ?? role;
  const line = ({ role, start, why }) =>
    h("li", {}, h("b", {}, who(role)), " ", start, why ? h("span.fs-why", {}, ` — ${REASONS[why]?.() ?? why}`) : "");
  const group = (title, all) => (all.length ? [h("h4", {}, title), h("ul.fs-sight", {}, ...all.map(line))] : []);
  if (!seen.length && !out.length) return null;
  return h(
    "section",
    {},
    h("h3", {}, t("What the model saw")),
    ...(known ? [] : [h("p.fs-inside-help", {}, t("As it would be today: what it was then is not kept."))]),
    ...group(t("In sight"), seen),
    ...group(t("Out of sight"), out),
  );
}

/** The exact prompt: as text or as its tokens. */
function prompt({ prompt: { exact, note, count, ids, texts, bytes, control, text } }) {
  if (text === null && ids === null) return note ? h("section", {}, h("h3", {}, t("Prompt")), h("p.fs-inside-help", {}, note)) : null;
  const shown = h("pre.fs-prompt", { tabindex: "0", "aria-label": t("Prompt") });
  const asText = () => shown.replaceChildren(text ?? "");
  const special = new Set(control ?? []);
  const token = (id, at) =>
    h(`span.fs-prompt-token${special.has(at) ? ".fs-control" : ""}`, { title: String(id) }, nameOf({ id, text: texts[at], bytes: bytes[at], control: special.has(at) }));
  const asTokens = () => shown.replaceChildren(...ids.map(token));
  const choice = (label, draw, checked) => {
    const input = h("input", { type: "radio", name: "fs-prompt-as", checked, onchange: draw });
    return h("label.fs-segment", {}, input, h("span", {}, label));
  };
  const how = h("div.fs-segments", { role: "radiogroup", "aria-label": t("Show the prompt") }, choice(t("As text"), asText, true), ...(ids ? [choice(t("As tokens"), asTokens, false)] : []));
  asText();
  const certain = { true: t("This is exactly what the model read."), false: t("Made anew, it is no longer what the model read.") }[exact];
  return h(
    "section",
    {},
    h("h3", {}, t("Prompt, {count} tokens", { count: number(count) })),
    how,
    shown,
    ...[certain, note].filter(Boolean).map((words) => h("p.fs-inside-help", {}, words)),
  );
}

/** What people did to the answer. */
function hands({ message: { role, edited, branch, continued_at: continued, characters_by_hand: given }, written }) {
  const lines = [];
  if (edited) lines.push(t("Written by hand, in place of another version."));
  else if (written === "by hand") lines.push(role === "user" ? t("Written by you.") : t("Written by hand."));
  else if (written === "elsewhere") lines.push(t("Written elsewhere: it came with an import, and nothing more is known."));
  if (branch) lines.push(t("Branched from another answer at token {at}; {count} tokens were put there by hand.", { at: number(branch.at + 1), count: number(branch.forced) }));
  const stops = (continued ?? []).map((at) => number(at + 1));
  if (stops.length) lines.push(t("Stopped and continued at token {at}.", { at: stops.join(", ") }));
  if (given) lines.push(t("Its first {count} characters were written by hand or by another model, and continued from there.", { count: number(given) }));
  return lines.length ? h("section", {}, h("h3", {}, t("By hand")), h("ul.fs-sight", {}, ...lines.map((line) => h("li", {}, line)))) : null;
}

const dated = (time) => (time ? new Date(time).toLocaleString() : null);

function show(element, told) {
  const { message, unknown } = told;
  const copy = h("button.fs-button", { type: "button" }, t("Copy as JSON"));
  copy.addEventListener("click", () => copyWith(copy, JSON.stringify(told, null, 2)));
  const versions = message.versions?.length > 1 ? t("{at} of {all}", { at: message.versions.findIndex(({ id }) => id === message.id) + 1, all: message.versions.length }) : null;
  const written = [
    [t("Version"), versions],
    [t("Written"), dated(message.created_at)],
  ];
  const parts =
    told.written === "by a model"
      ? [
          hands(told),
          origin(told, written),
          times(told),
          settings(told),
          sight(told),
          prompt(told),
          unknown.length ? h("section", {}, h("h3", {}, t("Not known")), h("ul.fs-sight", {}, ...unknown.map((line) => h("li", {}, line)))) : null,
        ]
      : [hands(told), table(t("Origin"), written)];
  element.replaceChildren(h("div.fs-inside-row", {}, copy), ...parts.filter(Boolean));
}

/** What computed it. */
function origin({ message, model, engine }, written) {
  const digest = model.digest ? h("code", { title: model.digest }, model.digest.slice(0, 16), "…") : null;
  return table(t("Origin"), [
    [t("Model"), model.name],
    [t("Digest"), digest],
    [t("Loaded now"), model.name ? (model.loaded ? t("yes") : t("no")) : null],
    [t("Engine"), engine.version ? `Fireside ${engine.version}` : null],
    [t("Device"), engine.device],
    [t("Computed in"), engine.dtype],
    [t("Kernels"), engine.kernels],
    [t("Deterministic"), engine.deterministic === undefined ? null : engine.deterministic ? t("yes") : t("no")],
    [t("Weights"), engine.quantization],
    [t("Context"), engine.context ? number(engine.context) : null],
    ...written,
    [t("Ended by"), { stop: t("the model"), length: t("the limit"), cancelled: t("you") }[message.finish_reason]],
  ]);
}

registerPanelTab({
  id: "origin",
  label: t("Origin"),
  appliesTo: (message) => message.status !== "streaming",
  mount: (element, message) => fill(element, `provenance/${message.id}`, (told) => show(element, told)),
});
