// Bringing chats from elsewhere: files dropped on the page or chosen, how far they are, and what became of each chat.

import { h, icon } from "./dom.js";
import { number, t } from "./i18n.js";
import { notice } from "./popup.js";

const SHOWN_AT_FIRST = 100;
const LOOKED_AT_BYTES = 65_536;
// What the beginning of an export has that no other text is likely to have; the server looks properly.
const EXPORT = /"(?:mapping|chat_messages|context_policy|character_name|currentlySelected|internal|currNode)"\s*:/;

let open = () => {};
let imported = () => {};
let dialog = null;
let list = null;
let foot = null;
let waiting = [];
let request = null;

/** Take files that are dropped on the page. actions: open(id), imported() after something was added. */
export function startImport(actions) {
  ({ open, imported } = actions);
  const veil = h("div.fs-drop", { "aria-hidden": "true" }, icon("upload"), t("Drop to import chats"));
  let depth = 0;
  const drag = (entered) => (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = Math.max(0, depth + entered);
    if (depth && !veil.isConnected) document.body.append(veil);
    if (!depth) veil.remove();
  };
  const end = () => {
    depth = 0;
    veil.remove();
  };
  addEventListener("dragenter", drag(1), true);
  addEventListener("dragleave", drag(-1), true);
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => onTheWay(event, end), true);
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    importFiles([...event.dataTransfer.files]);
  });
  addEventListener("beforeunload", (event) => request && event.preventDefault());
}

const hasFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;

/** A drop on the message box attaches texts; what is an export is taken here, or offered. */
function onTheWay(event, end) {
  end();
  if (!hasFiles(event) || !event.target.closest?.("#fs-dock")) return;
  const files = [...event.dataTransfer.files];
  if (files.length && files.every((file) => file.name.toLowerCase().endsWith(".zip"))) {
    event.preventDefault();
    event.stopPropagation();
    importFiles(files);
  } else for (const file of files) offer(file);
}

async function offer(file) {
  const start = await file.slice(0, LOOKED_AT_BYTES).text();
  if (!EXPORT.test(start)) return;
  notice(t("{name} looks like chats of another program.", { name: file.name }), {
    action: () => importFiles([file]),
    label: t("Import"),
    seconds: 15,
  });
}

/** Ask for files, or show the import that is under way. */
export function openImport() {
  show();
  if (!list.children.length) list.append(invitation());
}

function invitation() {
  const from = ["ChatGPT", "Claude", "Open WebUI", "llama.cpp", "LM Studio", "text-generation-webui", "SillyTavern", "ShareGPT"];
  return h(
    "li.fs-invitation",
    {},
    h("p", {}, t("Drop a file anywhere on the page, or choose it. What it is, is told by its content.")),
    h("p.fs-trash-note", {}, t("Known are exports of {names}, OpenAI messages and Fireside's own JSON.", { names: from.join(", ") })),
    h("p.fs-trash-note", {}, t("A file is imported whole or not at all; importing it again changes nothing.")),
  );
}

function show() {
  if (dialog) return;
  list = h("ul.fs-imports", { "aria-live": "polite" });
  foot = h("div.fs-dialog-row");
  dialog = h("dialog.fs-dialog.fs-import", { "aria-label": t("Import chats") }, h("h3", {}, t("Import chats")), list, foot);
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  // Escape must not lose sight of what is under way.
  dialog.addEventListener("cancel", (event) => request && event.preventDefault());
  dialog.addEventListener("close", () => {
    dialog.remove();
    dialog = null;
  });
  document.body.append(dialog);
  drawFoot();
  dialog.showModal();
}

function drawFoot() {
  const picker = h("input", { type: "file", multiple: true, hidden: true, "aria-label": t("Files to import") });
  picker.addEventListener("change", () => importFiles([...picker.files]));
  const button = (label, action, classes = "") => h(`button.fs-button${classes}`, { type: "button", onclick: action }, label);
  foot.replaceChildren(
    ...(request
      ? [button(t("Cancel"), cancel)]
      : [button(t("Close"), () => dialog.close()), picker, button(t("Choose files…"), () => picker.click(), ".fs-primary")]),
  );
}

function cancel() {
  waiting = [];
  request?.abort();
}

/** Import files one after the other. */
export function importFiles(files) {
  if (!files.length) return;
  show();
  list.querySelector(".fs-invitation")?.remove();
  waiting.push(...files.map((file) => ({ file, row: list.appendChild(rowOf(file)) })));
  if (!request) next();
}

function rowOf(file) {
  return h(
    "li",
    {},
    h("strong", {}, file.name),
    h("progress", { max: "1", value: "0", "aria-label": file.name }),
    h("p.fs-trash-note", {}, t("Waiting")),
  );
}

function next() {
  const taken = waiting.shift();
  if (!taken) {
    request = null;
    if (dialog) drawFoot();
    imported();
    return;
  }
  const { file, row } = taken;
  const [bar, note] = [row.querySelector("progress"), row.querySelector("p")];
  const tell = (text, share) => {
    note.textContent = text;
    if (share === undefined) bar.removeAttribute("value");
    else bar.value = share;
  };
  request = new XMLHttpRequest();
  request.open("POST", `/import?name=${encodeURIComponent(file.name)}`);
  request.upload.addEventListener("progress", ({ loaded, total }) => tell(t("Sending"), total ? loaded / total : 0));
  request.addEventListener("progress", () => {
    const last = parsed(request.responseText);
    if (last?.phase) tell(...inWords(last));
  });
  request.addEventListener("loadend", () => {
    const answer = parsed(request.responseText, true);
    bar.remove();
    if (answer?.report) report(row, note, answer.report);
    else fail(note, answer?.error ?? refusalOf(request));
    next();
  });
  drawFoot();
  request.send(file);
}

/** The last line that is there, with `ended` also without a line break after it. */
function parsed(text, ended = false) {
  const lines = text.split("\n");
  const line = ended ? lines.findLast((each) => each.trim()) : lines.at(-2);
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

function inWords({ phase, done, total }) {
  const share = total ? done / total : undefined;
  if (phase === "reading") return [t("Reading: {share} %", { share: number(Math.floor(100 * (share ?? 0))) }), share];
  if (phase === "adding") return [t("Adding: {done} of {total} chats", { done: number(done), total: number(total) }), share];
  return [t("Waiting")];
}

function refusalOf({ status, responseText }) {
  if (!status) return t("Cancelled, or the server is gone. Chats are added only once all of the file is read.");
  return responseText.slice(0, 300) || t("The server refused it ({status}).", { status });
}

function fail(note, text) {
  note.className = "fs-import-failed";
  note.textContent = text;
}

const COUNTS = [
  ["imported", (count) => t("{count} imported", { count })],
  ["extended", (count) => t("{count} with new messages", { count })],
  ["already there", (count) => t("{count} already there", { count })],
  ["skipped", (count) => t("{count} skipped", { count })],
];

function report(row, note, { format, lines }) {
  const counts = COUNTS.map(([what, words]) => [lines.filter((line) => line.what === what).length, words]);
  const told = counts.filter(([count]) => count).map(([count, words]) => words(number(count)));
  note.textContent = `${format}: ${told.join(", ") || t("no chats")}`;
  // What has something to tell comes first.
  const order = (line) => (line.what === "skipped" ? 0 : line.notes.length ? 1 : 2);
  const sorted = [...lines].sort((one, other) => order(one) - order(other));
  const all = h("ul.fs-import-lines", {}, ...sorted.slice(0, SHOWN_AT_FIRST).map(lineOf));
  row.append(all);
  if (sorted.length <= SHOWN_AT_FIRST) return;
  const more = () => {
    rest.remove();
    all.append(...sorted.slice(SHOWN_AT_FIRST).map(lineOf));
  };
  const rest = h("button.fs-link", { type: "button", onclick: more }, t("Show all {count}", { count: number(sorted.length) }));
  row.append(rest);
}

const WHAT = () => ({
  imported: t("Imported"),
  extended: t("New messages"),
  "already there": t("Already there"),
  skipped: t("Skipped"),
});

function lineOf({ title, what, notes, id }) {
  const name = title || t("Without a title");
  const go = () => {
    if (!request) dialog.close();
    open(id);
  };
  return h(
    `li.fs-import-${what.replace(" ", "-")}`,
    {},
    h("span.fs-import-what", {}, WHAT()[what] ?? what),
    id ? h("button.fs-link", { type: "button", onclick: go }, name) : h("span", {}, name),
    notes.length > 0 && h("span.fs-import-why", {}, notes.join("; ")),
  );
}
