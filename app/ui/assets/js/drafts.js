// What was typed and not sent, and what waits to be sent, by conversation, in the browser's own storage.

const DRAFT = "fireside.draft.";
const WAITING = "fireside.waiting.";
// Of conversations that were left behind long ago, nobody misses them.
const MOST = 60;

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

/** Keep something, or forget it where it is null; whether that was possible. */
function write(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify({ ...value, at: Date.now() }));
    return true;
  } catch {
    // There is no storage, or it is full.
    return false;
  }
}

function prune() {
  const keys = Object.keys(localStorage).filter((key) => key.startsWith(DRAFT));
  if (keys.length <= MOST) return;
  keys.sort((a, b) => (read(b)?.at ?? 0) - (read(a)?.at ?? 0));
  for (const key of keys.slice(MOST)) localStorage.removeItem(key);
}

const isFile = (file) => typeof file?.name === "string" && typeof file?.text === "string";

/** The draft of a conversation ("" for a new one), as {text, files}. */
export function draftOf(conversation) {
  const { text, files } = read(DRAFT + conversation) ?? {};
  return { text: typeof text === "string" ? text : "", files: Array.isArray(files) ? files.filter(isFile) : [] };
}

/** Keep a draft; false where there is no room for it. */
export function keepDraft(conversation, { text, files }) {
  if (!text && !files.length) return write(DRAFT + conversation, null);
  const kept = write(DRAFT + conversation, { text, files });
  if (kept) prune();
  return kept;
}

/** The messages that wait in a conversation, the next one first, as [{id, text}]. */
export function waitingIn(conversation) {
  const { messages } = read(WAITING + conversation) ?? {};
  return Array.isArray(messages) ? messages.filter(({ id, text }) => typeof id === "string" && typeof text === "string") : [];
}

/** Keep what waits; false where there is no room for it. */
export const keepWaiting = (conversation, messages) =>
  write(WAITING + conversation, messages.length ? { messages } : null);

/** Call `callback(conversation)` when another tab has changed what waits. */
export function whenWaitingChanges(callback) {
  addEventListener("storage", ({ key }) => key?.startsWith(WAITING) && callback(key.slice(WAITING.length)));
}
