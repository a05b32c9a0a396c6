// What an empty chat shows: how the first model comes, prompts to begin with, and better models that fit.

import { send } from "./bridge.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { ModelCard } from "./modelcard.js";
import { openModels } from "./models.js";
import { signal, watchShelf } from "./shelf.js";
import { whenStatus } from "./topbar.js";
import { progressWords } from "./units.js";

const STARTER_MODEL = "smollm2-135m-instruct";
// What the starter model was seen to do well, of many that were tried; what it cannot is only offered with a better one.
const STARTERS = [
  { title: t("Write"), text: t("Write three sentences about a campfire on a cold night.") },
  { title: t("Explain simply"), text: t("Explain photosynthesis in two sentences.") },
  {
    title: t("Answer from a text"),
    text: t("Anna has a red bicycle and rides it to the market every Saturday. What colour is Anna's bicycle?"),
  },
  { title: t("Translate"), text: t("Translate into French: Good morning! How are you today?"), better: true },
];

/** The element; it is in line with the model's state and the models there are for as long as it is shown. */
export function emptyState() {
  const starter = ({ title, text, better: hidden }) =>
    h(
      "button.fs-starter",
      { type: "button", hidden, onclick: () => send("transcript", "ask", { text, conversation: window.fireside.openConversation() }) },
      h("strong", {}, title),
      h("span", {}, text),
    );
  const starters = STARTERS.map(starter);
  const first = h("div.fs-first", { hidden: true });
  const better = h("div.fs-better", { hidden: true });
  const element = h(
    "div.fs-empty",
    {},
    h("img.fs-empty-mark", { src: new URL("../favicon.svg", import.meta.url).href, alt: "" }),
    h("h1", {}, t("What shall we talk about?")),
    first,
    h("div.fs-starters", {}, ...starters),
    better,
  );
  whenStatus(showFirst(first));
  whenStatus(({ name }) => {
    for (const [at, { better: needed }] of STARTERS.entries()) starters[at].hidden = Boolean(needed) && name === STARTER_MODEL;
  });
  watchWhileShown(element, showBetter(better));
  return element;
}

/** How far the first model is, and what can be done while it comes or does not come. */
function showFirst(element) {
  const words = h("p", { role: "status" });
  const figures = h("p.fs-figures-line-plain");
  const bar = h("progress.fs-progress", { "aria-label": t("Download of the model") });
  const button = (label, onclick) => h("button.fs-button.fs-small", { type: "button", onclick }, label);
  const actions = h(
    "div.fs-card-actions",
    {},
    button(t("Retry"), () => signal("retry_model")),
    button(t("Choose another model"), openModels),
  );
  element.append(words, bar, figures, actions);
  const say = (text) => text !== words.textContent && (words.textContent = text);
  return (status) => {
    const failed = status.status === "failed";
    element.hidden = status.status === "ready";
    bar.hidden = !status.total_bytes || failed;
    figures.hidden = actions.hidden = true;
    if (failed) {
      say(status.message);
      actions.hidden = false;
    } else if (status.status === "downloading") {
      say(t("The model is being downloaded, once. You can write already: your message is answered as soon as the model is there."));
      figures.hidden = false;
      figures.textContent = progressWords(status);
    } else if (status.answers) {
      say(status.message);
    } else say(t("The model is being loaded. You can write already."));
    if (status.total_bytes) {
      bar.max = status.total_bytes;
      bar.value = status.done_bytes;
    }
  };
}

/** While the tiny starter model answers: that it is tiny, and the best that fit this machine. */
function showBetter(element) {
  const list = h("ul.fs-cards", { "aria-label": t("The best that fit this computer") });
  const words = t("The starter model is tiny: quick and private, but it often gets facts wrong.");
  const all = h("button.fs-link", { type: "button", onclick: openModels }, t("All models"));
  const lead = h("p", {}, `${words} `, t("These fit this computer and answer better:"));
  element.append(lead, list, h("p", {}, all));
  const cards = new Map();
  let latest = null;
  const draw = (shelf) => {
    if (!shelf.entries) return;
    latest = shelf;
    const wanted = shelf.entries.filter((entry) => entry.suggested).sort((one, other) => one.suggested - other.suggested);
    element.hidden = shelf.state.name !== STARTER_MODEL || !wanted.length;
    const items = wanted.map((entry) => {
      if (!cards.has(entry.name)) cards.set(entry.name, new ModelCard({ mayChange: () => latest.may_change, brief: true, use: true, redraw: () => draw(latest) }));
      cards.get(entry.name).update(entry, shelf.downloads[entry.name], shelf.state);
      return cards.get(entry.name).element;
    });
    if (items.length !== list.children.length || items.some((item, at) => list.children[at] !== item)) list.replaceChildren(...items);
  };
  return draw;
}

/** Have the models asked for only while somebody sees them. */
function watchWhileShown(element, draw) {
  let end = null;
  new IntersectionObserver(([{ isIntersecting: shown }]) => {
    if (shown && !end) end = watchShelf(draw);
    else if (!shown && end) end = void end();
  }).observe(element);
}
