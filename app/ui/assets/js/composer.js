// The message box: Gradio's text box, with drafts, files, messages that wait and the count of tokens.

import { MOST_CHARACTERS, quote, readFile, tooMuch, unquote } from "./attachments.js";
import { send } from "./bridge.js";
import { Count } from "./count.js";
import { beginnings } from "./destination.js";
import { h, icon, iconButton } from "./dom.js";
import { draftOf, keepDraft } from "./drafts.js";
import { number, t } from "./i18n.js";
import { notice } from "./popup.js";
import { settingsKnown } from "./presets.js";
import { addressed } from "./shell.js";
import { isReachable, lookAgain } from "./topbar.js";
import { Waiting } from "./waiting.js";

const LONG_PASTE = 10_000;
const REST_MS = 300;
const PATIENCE_MS = 2_500;
// Where an answer ended like this, the user decides what comes next.
const HOLDING = new Set(["error", "interrupted"]);

const root = document.documentElement;
const dock = () => document.getElementById("fs-dock");
const box = () => document.querySelector("#fs-composer textarea");
const running = () => root.classList.contains("fs-running");

let files = [];
let conversation = null; // whose draft is in the box
let sending = null; // {nonce, conversation, text, waiting}: what the server has not taken yet
let submitting = false;
let held = false;
let last; // how the last answer ended
let warned = false;
let resting = null;
let chips, picker, attach, waiting, count;
let editLast = () => false;

export const focusComposer = () => box()?.focus();

/** Set up the box; edit(): open the last message of the user's for editing, whether there is one. */
export function startComposer(edit) {
  editLast = edit;
  chips = h("ul.fs-files", { "aria-label": t("Attached files"), hidden: true });
  picker = h("input", { type: "file", multiple: true, hidden: true, tabindex: "-1", "aria-hidden": "true" });
  picker.addEventListener("change", () => {
    attachFiles([...picker.files]);
    picker.value = "";
  });
  attach = iconButton("clip", t("Attach text files"), () => picker.click(), "button.fs-icon.fs-attach");
  waiting = new Waiting({ edit: takeBack, sendNow });
  count = new Count();
  dock().prepend(waiting.element);
  dock().append(count.element, picker);
  const look = () => furnish();
  new MutationObserver(look).observe(dock(), { childList: true, subtree: true });
  look();
  dock().addEventListener("keydown", onKey, true);
  dock().addEventListener("click", onClick, true);
  dock().addEventListener("input", ({ target }) => target === box() && changed());
  dock().addEventListener("paste", onPaste, true);
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) dock().addEventListener(kind, onDrag);
  addEventListener("pagehide", keep);
  document.addEventListener("visibilitychange", () => document.hidden && keep());
}

/** Put our own parts into the box, as often as Gradio draws it anew. */
function furnish() {
  const container = box()?.parentElement;
  if (!container || attach.parentElement === container) return;
  container.prepend(chips, attach);
  box().setAttribute("aria-describedby", "fs-count");
  if (conversation !== null) restore();
}

function openDraft(id) {
  const first = conversation === null;
  if (!first) keep();
  conversation = id;
  last = undefined;
  // What was typed before the page was all there stays.
  if (first && box()?.value) files = draftOf(conversation).files;
  else restore();
}

/** The open conversation is in line with the store; status: of its last answer, null where there is none. */
export function conversationSettled(id, status) {
  if (id !== conversation) openDraft(id);
  if (running() || last !== status) held = HOLDING.has(status);
  last = status;
  waiting.show(conversation, held);
  sendWaiting();
}

/** The server has taken a message; where it is kept. Returns whether the user has begun another conversation since. */
export function messageSent(nonce, id) {
  if (!sending || sending.nonce !== nonce) return false;
  const taken = sending;
  sending = null;
  clearTimeout(taken.timer);
  if (taken.waiting) {
    waiting.remove(taken.waiting);
    return false;
  }
  if (conversation !== taken.conversation) {
    keepDraft(taken.conversation, { text: "", files: [] });
    return false;
  }
  keepDraft(conversation, { text: "", files: [] });
  const left = conversation === "" && taken.begun !== beginnings();
  if (conversation === "" && !left) conversation = id;
  files = files.filter((file) => !taken.files.includes(file));
  // What was typed since stays.
  const { value } = box();
  write(value.startsWith(taken.typed) ? value.slice(taken.typed.length) : value);
  return left;
}

/** Something was refused; it may have been what was sent. */
export function messageRefused() {
  if (!sending) return;
  if (sending.waiting) held = true;
  clearTimeout(sending.timer);
  sending = null;
  waiting.show(conversation, held);
}

/** Put text into the box as if it were typed. */
function write(text) {
  const field = box();
  if (!field) return;
  if (field.value !== text) {
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  } else changed();
}

function restore() {
  const draft = draftOf(conversation);
  files = draft.files;
  write(draft.text);
}

/** The open conversation is gone: what is in the box goes along to a new one, unless something is begun there. */
export function takeDraftAlong() {
  const begun = draftOf("");
  if (!begun.text && !begun.files.length) keepDraft("", { text: box().value, files });
}

function keep() {
  clearTimeout(resting);
  if (conversation === null || !box()) return;
  const kept = keepDraft(conversation, { text: box().value, files });
  if (!kept && !warned) notice(t("This draft is too large to be kept through a reload."), { kind: "error" });
  warned = !kept;
}

/** The box has other contents now. */
function changed() {
  const { value } = box();
  document.getElementById("fs-composer").classList.toggle("fs-filled", Boolean(value.trim() || files.length));
  drawChips();
  count.soon(value, files);
  clearTimeout(resting);
  resting = setTimeout(keep, REST_MS);
}

function drawChips() {
  chips.hidden = !files.length;
  const known = [...chips.children].map((chip) => chip.file);
  if (known.length === files.length && known.every((file, at) => file === files[at])) return;
  chips.replaceChildren(...files.map(chip));
}

function chip(file) {
  const remove = () => {
    files = files.filter((other) => other !== file);
    changed();
    focusComposer();
  };
  const size = t("{count} characters", { count: number(file.text.length) });
  const element = h(
    "li.fs-chip",
    { title: file.name },
    icon("file"),
    h("span.fs-chip-name", {}, file.name),
    h("span.fs-chip-size", {}, size),
    iconButton("close", t("Remove {name}", { name: file.name }), remove),
  );
  element.file = file;
  return element;
}

async function attachFiles(chosen) {
  for (const file of chosen) {
    try {
      add(await readFile(file));
    } catch (error) {
      notice(error.message, { kind: "error", seconds: 10 });
    }
  }
  focusComposer();
}

/** Attach a file that was read; throws where there is no room for it. */
function add(file) {
  const refused = tooMuch(box().value, [...files, file]);
  if (refused) throw new Error(refused);
  files = [...files, file];
  changed();
}

function onPaste(event) {
  if (event.target !== box()) return;
  const text = event.clipboardData.getData("text/plain");
  const pasted = [...event.clipboardData.files];
  if (!text && pasted.length) attachFiles(pasted);
  else if (text.length > LONG_PASTE) attachPasted(text);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** A long text becomes a file: in the box it would make every key slow. */
function attachPasted(text) {
  if (text.length > MOST_CHARACTERS) {
    const values = { count: number(text.length), most: number(MOST_CHARACTERS) };
    notice(t("The pasted text has {count} characters; a message has room for {most}.", values), { kind: "error", seconds: 10 });
    return;
  }
  const file = { name: t("Pasted text"), text: text.replaceAll("\r\n", "\n") };
  try {
    add(file);
  } catch (error) {
    notice(error.message, { kind: "error", seconds: 10 });
    return;
  }
  const asText = () => {
    files = files.filter((other) => other !== file);
    box().setRangeText(file.text, box().selectionStart, box().selectionEnd, "end");
    box().dispatchEvent(new Event("input", { bubbles: true }));
  };
  notice(t("The long text is attached."), { action: asText, label: t("Put it into the box"), seconds: 10 });
}

function onDrag(event) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  event.stopPropagation();
  const inside = event.type === "dragover" || event.type === "dragenter";
  dock().classList.toggle("fs-dropping", inside);
  if (event.type === "drop") attachFiles([...event.dataTransfer.files]);
}

function onKey(event) {
  if (event.target !== box() || event.isComposing || event.keyCode === 229) return;
  if (event.key === "Enter" && !event.shiftKey && !event.altKey) submit();
  else if (event.key !== "ArrowUp" || event.shiftKey || box().value || files.length || !goBack()) return;
  event.preventDefault();
  event.stopPropagation();
}

/** Into the box comes the last message that waits, or else the last one sent is edited in its place. */
function goBack() {
  const latest = waiting.messages.at(-1);
  if (latest) waiting.takeBack(latest);
  else return editLast();
  return true;
}

function onClick(event) {
  if (!event.target.closest?.("#fs-composer .submit-button")) return;
  event.preventDefault();
  event.stopPropagation();
  submit();
}

async function submit() {
  // Enter may come before the conversation does, whose settings go along.
  if (submitting) return;
  submitting = true;
  await settingsKnown;
  submitting = false;
  conversation ??= addressed();
  const typed = box().value;
  const text = quote(typed, files);
  if (!running() && !waiting.messages.length) {
    dispatch({ text, typed, files });
    return;
  }
  if (!text.trim()) {
    if (held) sendNow();
    return;
  }
  if (!waiting.add(text)) {
    notice(t("This message is too large to wait: send it when the answer has ended."), { kind: "error" });
    return;
  }
  files = [];
  write("");
  keep();
  sendWaiting();
}

/** Send, unless something is on its way already. */
function dispatch(message) {
  if (sending) return;
  const nonce = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  sending = { ...message, nonce, conversation, begun: beginnings() };
  send("transcript", "ask", { text: message.text, nonce, conversation });
  const timer = () => {
    if (sending?.nonce !== nonce) return;
    lookAgain();
    sending.timer = setTimeout(() => giveUp(nonce), PATIENCE_MS);
  };
  sending.timer = setTimeout(timer, PATIENCE_MS);
}

function giveUp(nonce) {
  if (sending?.nonce !== nonce) return;
  if (isReachable()) {
    sending.timer = setTimeout(() => giveUp(nonce), PATIENCE_MS);
    return;
  }
  messageRefused();
  notice(t("Not sent: Fireside is not running. Your message is kept."), { kind: "error", seconds: 10 });
}

function sendWaiting() {
  const [next] = waiting.messages;
  if (next && !held && !running() && !sending) dispatch({ text: next.text, waiting: next.id });
}

function sendNow() {
  held = false;
  waiting.show(conversation, held);
  sendWaiting();
}

function takeBack(message) {
  const { text, files: quoted } = unquote(message.text);
  files = [...quoted, ...files];
  write([text, box().value].filter(Boolean).join("\n\n"));
  focusComposer();
}
