// Where the user goes: to a conversation that is shown a moment later, or to one whose id only the server knows.

import { send } from "./bridge.js";
import { isReachable } from "./topbar.js";

const PATIENCE_MS = 5_000;

// Undefined until a conversation is shown or asked for.
let destination;
let leaving = false;
let begun = 0; // new conversations
let waiting = null;
let again = false; // it was asked for once more since

/** The id of the conversation that the user goes to or is in, "" for a new one; undefined at first. */
export const destined = () => destination;

/** Ask Python for a conversation, "" for a new one. Of several only the last is shown, and one is asked for at a time:
 *  answers may overtake each other. */
export function open(id) {
  arrive(id);
  if (waiting === null) request();
  else again = true;
}

function request() {
  again = false;
  send("transcript", "open", { id: destination });
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    waiting = null;
    if (isReachable()) request();
  }, PATIENCE_MS);
}

/** Do what leads to a conversation that only the server knows. */
export function leave(event, data) {
  leaving = true;
  send("transcript", event, data);
}

/** The user begins a new conversation, and is in none that has an id. */
export function begin() {
  begun += 1;
  arrive("");
}

/** How many were begun: what is sent into a new conversation belongs to the one of that number. */
export const beginnings = () => begun;

/** The user is in this conversation. */
export function arrive(id) {
  destination = id;
  leaving = false;
}

/** Whether an answer is still to be shown: not where the user went elsewhere since. asked: the id that was to be opened,
 *  null for what was done in a conversation. */
export function isWanted(id, asked) {
  if (asked === null) return destination === undefined || leaving || id === destination;
  clearTimeout(waiting);
  waiting = null;
  if (destination === undefined || (asked === destination && !again)) return true;
  request();
  return false;
}
