// How tokens are written: blanks and line ends made visible, bytes that are no text as such.

import { t } from "../i18n.js";

const MARKS = { " ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽" };

function mark(character) {
  if (MARKS[character]) return MARKS[character];
  if (!/[\p{C}\p{Z}]/u.test(character)) return character;
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

const marked = (blanks) => [...blanks].map(mark).join("");

/** A text with marks in place of what cannot be seen at its ends, or anywhere where it is nothing else. */
export function visible(text) {
  if (!text.trim()) return marked(text);
  return text.replace(/^\s+|\s+$|\p{C}/gu, marked);
}

/** How a token stands alone, in a list: {id, text, bytes, control} as the server tells it. */
export function nameOf({ id, text, bytes, control }) {
  if (bytes) return t("bytes {bytes}", { bytes: bytes.toUpperCase() });
  return text ? (control ? text : visible(text)) : t("token {id}", { id });
}
