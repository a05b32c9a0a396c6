// The open conversation: its rows, the answer in the making, and the empty state.

import { receive, send } from "./bridge.js";
import { noteRevision } from "./changes.js";
import { arrive, begin, destined, isWanted, leave, open } from "./destination.js";
import { h, iconButton } from "./dom.js";
import { emptyState } from "./empty.js";
import { t } from "./i18n.js";
import { MessageRow } from "./message.js";
import { syncPanel } from "./panel.js";
import { notice } from "./popup.js";
import { addressed } from "./shell.js";
import { follow } from "./stream.js";
import { lookAgain, showFigures } from "./topbar.js";

const NEAR_BOTTOM = 60;

let scroller, log, polite, empty, down;
let rows = [];
let conversation = null;
let endStream = null;
let onOpen = () => {};
let onSent = () => {};
let onSettled = () => {};

const actions = {
  retry: (id, once = {}) => send("transcript", "retry", { id, ...once }),
  version: (id) => send("transcript", "version", { id }),
  edit: (id, text) => send("transcript", "edit", { id, text }),
  goOn: (id) => send("transcript", "go_on", { id }),
  remove: (id, alone) => send("transcript", "delete", { id, alone }),
  branch: (id) => leave("branch", { id }),
  context: (id, wanted) => send("transcript", "context", { id, wanted }),
};

/** Show a message that was found, in its branch. */
export const jump = (id) => leave("version", { id, found: true });

/** The id of the conversation that is shown; "" for a new one. */
export const openConversation = () => conversation ?? addressed();

/** A message of the open conversation, or null. */
export const messageOf = (id) => rows.find((row) => row.message.id === id)?.message ?? null;

/** Call `callback(id, moved)` whenever another conversation is shown. */
export function whenOpened(callback) {
  onOpen = callback;
}

/** Call `callback(nonce, id)` when a message was taken, and with the conversation it is in. */
export function whenSent(callback) {
  onSent = callback;
}

/** Call `callback(id, status)` when the rows are in line with the store; status: of the last answer, or null. */
export function whenSettled(callback) {
  onSettled = callback;
}

/** Open the last message of the user's for editing; whether there is one. */
export function editLast() {
  const row = rows.findLast(({ message }) => message.role === "user");
  row?.element.scrollIntoView({ block: "nearest" });
  row?.edit();
  return Boolean(row);
}

/** Bring what is shown in line with what was changed elsewhere. */
export const sync = (id) => send("transcript", "sync", { id });

/** Show a new conversation at once; what is sent from now on belongs to it, however late Python's answer is. */
export function startConversation() {
  begin();
  display({ conversation: "", revision: 0, title: "", messages: [] });
}

export function mountTranscript(element) {
  log = h("div.fs-log", { role: "log", "aria-live": "off", "aria-label": t("Conversation") });
  polite = h("div.fs-offscreen", { role: "status", "aria-live": "polite" });
  empty = emptyState();
  down = iconButton("down", t("Jump to the end"), () => toBottom("smooth"), "button.fs-jump");
  scroller = h("div.fs-scroller", { tabindex: "-1" }, empty, log);
  scroller.addEventListener("scroll", () => down.classList.toggle("fs-shown", !nearBottom()), { passive: true });
  // Rows grow after they are drawn; whoever reads the end stays at the end.
  let follows = true;
  scroller.addEventListener("scroll", () => (follows = nearBottom()), { passive: true });
  new ResizeObserver(() => follows && toBottom("instant")).observe(log);
  element.append(scroller, down, polite);
}

/** The seed of the last answer that has one, or null. */
export const lastSeed = () => rows.findLast((row) => row.message.figures?.seed)?.message.figures.seed ?? null;

const lastStatus = () => rows.at(-1)?.message.status ?? null;
const nearBottom = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_BOTTOM;
const toBottom = (behavior) => scroller.scrollTo({ top: scroller.scrollHeight, behavior });

function show(message) {
  const { conversation: id, asked, undo, done } = message;
  if (undo) notice(done, { action: () => leave("undo", { event: undo }), label: t("Undo"), seconds: 10 });
  if (!isWanted(id, asked)) return;
  arrive(id);
  display(message);
}

function display({ conversation: id, revision, title, messages, memory = null, notice: words, focus }) {
  const moved = id !== conversation;
  conversation = id;
  noteRevision(id, revision);
  const known = new Map(rows.map((row) => [row.message.id, row]));
  rows = messages.map((message) => {
    const row = known.get(message.id);
    // A row that is being streamed has more text than the list that was just read.
    if (row && row.streaming && message.status === "streaming") return row;
    if (!row) return new MessageRow(message, actions);
    row.show(message);
    return row;
  });
  keepFocus(() => {
    arrange(rows.map((row) => row.element));
    settle();
    remember(memory);
  });
  if (moved || known.size === 0) toBottom("instant");
  if (focus) bringIntoView(focus);
  if (words) notice(words, { kind: "error" });
  onOpen(id, title, moved);
  onSettled(id, lastStatus());
}

/** Put the rows in their order; where they are in it, nothing is moved that somebody may be typing in. */
function arrange(elements) {
  const there = [...log.querySelectorAll(":scope > .fs-turn")];
  if (there.length !== elements.length || there.some((element, at) => element !== elements[at])) log.replaceChildren(...elements);
}

/** Have the focus stay at its button, or else at its message, as `draw` puts other ones in the place of those there are. */
function keepFocus(draw) {
  const held = document.activeElement;
  const turns = () => [...log.querySelectorAll(".fs-turn")];
  const at = turns().indexOf(held.closest(".fs-turn"));
  const buttons = (turn) => [...turn.querySelectorAll(".fs-tools button:not(:disabled)")];
  draw();
  if (at < 0 || document.activeElement === held) return;
  const turn = turns()[at] ?? turns().at(-1);
  const tools = turn && held.closest(".fs-tools") ? buttons(turn) : [];
  const again = held.isConnected ? held : (tools.find((each) => each.title === held.title) ?? tools[0]);
  (again ?? turn ?? scroller).focus({ preventScroll: true });
}

function append({ conversation: id, revision, parent, messages, nonce }) {
  const left = onSent(nonce, id);
  // What the user went to since then is on its way.
  if (left || (destined() ?? conversation) !== conversation) return;
  // The user may have gone elsewhere meanwhile, or another tab may have gone on: ask for what is true, as this
  // is not the place for what came.
  const last = rows.at(-1)?.message.id ?? null;
  if ((conversation && id !== conversation) || last !== parent) {
    open(conversation || id);
    return;
  }
  const moved = id !== conversation;
  conversation = id;
  arrive(id);
  noteRevision(id, revision);
  for (const message of messages) {
    const row = new MessageRow(message, actions);
    rows.push(row);
    log.append(row.element);
  }
  settle();
  toBottom("instant");
  onOpen(id, null, moved);
  onSettled(id, lastStatus());
}

/** Mark what the model does not see, and where its memory begins. */
function remember(memory) {
  log.querySelector(".fs-memory")?.remove();
  for (const row of rows) row.setMemory(memory?.out[row.message.id] ?? null);
  const first = memory?.begins && rows.find((row) => row.message.id === memory.begins);
  if (!first) return;
  const why = t("Older messages do not fit into the model's context. They stay here, and can be kept in it one by one.");
  first.element.before(h("div.fs-memory", { role: "separator", title: why }, h("span", {}, t("The model's memory begins here"))));
}

function bringIntoView(id) {
  const found = rows.find((row) => row.message.id === id)?.element;
  if (!found) return;
  found.scrollIntoView({ block: "center" });
  found.classList.add("fs-found");
  setTimeout(() => found.classList.remove("fs-found"), 2500);
}

/** Say where another model goes on than the one that answered before. */
function tellModels() {
  for (const line of log.querySelectorAll(".fs-model-change")) line.remove();
  let before = "";
  for (const { message, element } of rows) {
    const model = message.figures?.model;
    if (!model) continue;
    if (before && model !== before) {
      element.before(h("div.fs-model-change", { role: "separator" }, h("span", {}, t("From here on {model} answers", { model }))));
    }
    before = model;
  }
}

/** Bring everything around the rows in line with them. */
function settle() {
  empty.hidden = rows.length > 0;
  tellModels();
  const live = rows.at(-1)?.streaming ? rows.at(-1) : null;
  const followed = endStream?.id;
  if (followed && followed !== live?.message.id) {
    endStream();
    endStream = null;
  }
  document.documentElement.classList.toggle("fs-running", live !== null);
  if (live && followed !== live.message.id) followRow(live);
  if (!live) showFigures(rows.findLast((row) => row.message.figures)?.message.figures ?? null);
}

function followRow(row) {
  const id = row.message.id;
  let fresh = true;
  let unwarn = null;
  // Said as long as it is true; the figures in the words may change meanwhile.
  const warn = (words) => {
    if (words) unwarn ??= notice(words, { kind: "error", seconds: Infinity });
    else if (unwarn) unwarn = unwarn();
  };
  const end = follow(id, {
    text(piece, phase, stats, warning, thoughts) {
      warn(warning);
      if (fresh) row.restart();
      fresh = false;
      row.element.classList.remove("fs-lost");
      row.grow(piece, phase, thoughts);
      if (phase === "decode") showFigures(stats);
    },
    done({ conversation: id, revision, memory, ...message }) {
      endStream = null;
      noteRevision(id, revision);
      warn(null);
      row.element.classList.remove("fs-lost");
      row.show(message);
      settle();
      remember(memory);
      syncPanel();
      onSettled(conversation, lastStatus());
      polite.textContent = message.status === "error" ? t("The answer failed") : t("Answer finished");
    },
    lost() {
      row.element.classList.add("fs-lost");
      row.say("", t("Fireside is not answering. What was written so far is kept; waiting for it to come back."));
      lookAgain();
    },
    gone() {
      endStream = null;
      open(openConversation());
    },
  });
  endStream = Object.assign(end, { id });
}

receive("transcript", { show, append });
