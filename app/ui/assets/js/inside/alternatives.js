// What could have stood in place of a token, what the settings kept of it, and the way on from any of it.

import { h, iconButton } from "../dom.js";
import { number, t } from "../i18n.js";
import { closePopup, openPopup } from "../popup.js";
import { open as openConversation } from "../destination.js";
import { candidateRows, settingsLine } from "./candidates.js";
import { Controls } from "./controls.js";
import { bits, inBits } from "./scales.js";
import { post } from "./service.js";
import { nameOf } from "./words.js";

const FRESH = 20;
// Whoever goes through the tokens by keys does not wait for each.
const UNHURRIED_MS = 400;

/** Open the popover of token number `at` of a flow at its element. */
export function openAlternatives(span, at, flow, message) {
  const title = t("Alternatives at position {at}", { at: number(at + 1) });
  const box = h("div.fs-popup.fs-alternatives", { role: "dialog", "aria-label": title, tabindex: "-1" });
  const content = h("div.fs-alternatives-content");
  const refusal = h("p.fs-refusal", { role: "alert", hidden: true });
  const refuse = (error) => {
    refusal.textContent = error?.message ?? "";
    refusal.hidden = !error;
    several.replaceChildren();
  };
  const several = h("div.fs-several");
  const branch = async (choice) => {
    refuse(null);
    box.setAttribute("aria-busy", "true");
    try {
      const { conversation } = await post(`branch/${message.id}`, { index: at, ...choice });
      closePopup();
      openConversation(conversation);
    } catch (error) {
      refuse(error);
    } finally {
      box.removeAttribute("aria-busy");
    }
  };
  // A word of several tokens is refused with the words that say so; both ways on are a button then.
  const branchAt = async (text) => {
    await branch({ text });
    if (refusal.hidden || !box.isConnected) return;
    const { tokens } = await post("words", { text }).catch(() => ({ tokens: [] }));
    if (tokens.length < 2) return;
    const way = (label, choice) => h("button.fs-button.fs-small", { type: "button", onclick: () => branch(choice) }, label);
    several.replaceChildren(
      way(t("Branch with all {count}", { count: tokens.length }), { text, several: true }),
      way(t("Only {token}", { token: nameOf(tokens[0]) }), { id: tokens[0].id }),
    );
    place();
  };
  let latest = 0;
  // say(error): what is told of how it went, null where it went well.
  const look = async (asked, say = refuse) => {
    const mine = ++latest;
    try {
      const told = await post(`token/${message.id}/${at}`, asked);
      if (!box.isConnected || mine !== latest) return;
      say(null);
      draw(told);
    } catch (error) {
      say(error);
    }
  };
  // Other settings than the answer's; one request at a time, as a slider moves faster than they are answered.
  let [tried, asking] = [null, false];
  const attempt = async (values) => {
    tried = values;
    if (asking) return;
    asking = true;
    while (tried) {
      const settings = { ...tried };
      tried = null;
      await look({ fresh: true, count: FRESH, settings });
    }
    asking = false;
  };
  const sliders = h("details.fs-try-settings", {}, h("summary", {}, t("Try other settings")));
  sliders.addEventListener("toggle", () => place());
  const draw = (told) => {
    const rows = candidateRows(told, ({ id }) => branch({ id }));
    const focused = content.contains(document.activeElement) || document.activeElement === box;
    const token = document.activeElement?.dataset.token;
    const more = h("button.fs-link", { type: "button", onclick: () => look({ fresh: true, count: FRESH }) }, t("Compute all of it again"));
    more.title = t("With the loaded model: more alternatives, and exactly what each setting kept");
    content.replaceChildren(
      facts(told),
      h("div.fs-candidates", { role: "group", "aria-label": t("Choose one to branch from here") }, ...rows),
      settingsLine(told),
      ...(told.source === "stored" ? [more] : []),
    );
    if (sliders.childElementCount === 1) {
      const controls = new Controls(() => attempt(controls.values), false, told.settings);
      sliders.append(controls.element);
    }
    place();
    const same = (row) => (token ? row.dataset.token === token : row.hasAttribute("aria-current"));
    if (focused) (rows.find(same) ?? rows[0] ?? box).focus();
    // What is stored does not tell what penalties did: the model does, where it is there.
    if (told.source === "stored" && told.candidates.some(({ kept }) => kept === null)) {
      const seen = latest;
      setTimeout(() => box.isConnected && seen === latest && look({ fresh: true, count: FRESH }, () => {}), UNHURRIED_MS);
    }
  };
  box.append(heading(at, flow), content, sliders, refusal, several, ownWord(branchAt));
  box.addEventListener("keydown", (event) => onKey(event, at, flow));
  const place = openPopup(span, box);
  box.focus();
  look({});
}

function heading(at, flow) {
  const last = flow.count - 1;
  const step = (name, label, to) =>
    iconButton(name, label, () => flow.choose(to, true), "button.fs-icon", { disabled: to < 0 || to > last });
  return h(
    "div.fs-popover-head",
    {},
    h("h3", {}, t("Position {at} of {all}", { at: number(at + 1), all: number(last + 1) })),
    step("left", t("Previous token"), at - 1),
    step("right", t("Next token"), at + 1),
  );
}

/** Rank, logarithm of probability, surprise and entropy of the token that is there. */
function facts({ id, rank, logprob, entropy, candidates }) {
  const all = [
    [t("Rank"), rank === null ? `> ${candidates.filter((each) => !each.chosen).length}` : number(rank)],
    [t("Log-probability"), logprob === null ? "?" : logprob.toFixed(3)],
    [t("Surprise"), logprob === null ? "?" : inBits(bits(-logprob).toFixed(2))],
    [t("Entropy"), entropy === null ? "?" : inBits(bits(entropy).toFixed(2))],
    [t("Token id"), String(id)],
  ];
  const terms = all.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  return h("dl.fs-token-facts", {}, ...terms);
}

/** A field for a token of one's own. */
function ownWord(branch) {
  const label = t("Your own word");
  const input = h("input.fs-input", { type: "text", "aria-label": label, placeholder: label, maxlength: "80", autocomplete: "off", spellcheck: "false" });
  const form = h("form.fs-own-word", {}, input, h("button.fs-button", { type: "submit" }, t("Branch")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    branch(input.value);
  });
  return form;
}

function onKey(event, at, flow) {
  if (event.isComposing) return;
  const typing = event.target.tagName === "INPUT";
  if (event.target.type === "range") {
    event.stopPropagation();
    if (event.key === "Escape") closePopup();
    return;
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const to = at + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0);
  // What is typed here is not for the page's shortcuts.
  event.stopPropagation();
  if (event.key === "Escape") closePopup();
  else if (step) {
    const targets = [...event.currentTarget.querySelectorAll(".fs-candidate, summary, .fs-own-word input")];
    targets.at((targets.indexOf(document.activeElement) + step) % targets.length).focus();
  } else if (!typing && to !== at && to >= 0 && to < flow.count) flow.choose(to, true);
  else return;
  event.preventDefault();
}
