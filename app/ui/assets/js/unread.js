// Which conversations have an answer that nobody has looked at yet; the same in all tabs, and over a reload.

const KEY = "fireside.unread";
const MOST = 200;

function read() {
  try {
    return new Set(JSON.parse(localStorage.getItem(KEY) ?? "[]"));
  } catch {
    return new Set();
  }
}

let unread = read();

function keep() {
  try {
    localStorage.setItem(KEY, JSON.stringify([...unread].slice(-MOST)));
  } catch {
    // Only the marks are lost.
  }
}

export const isUnread = (id) => unread.has(id);

export function markUnread(id) {
  unread.add(id);
  keep();
}

/** Whether it was unread. */
export function markRead(id) {
  const was = unread.delete(id);
  if (was) keep();
  return was;
}

/** Call `callback` when another tab has marked some. */
export function whenMarked(callback) {
  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    unread = read();
    callback();
  });
}
