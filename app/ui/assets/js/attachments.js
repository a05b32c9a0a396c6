// Text files that go along with a message: read, quoted in its text with their names, and found in it again.

import { number, t } from "./i18n.js";

/** Characters that all of a message may have; Python checks it too. */
export const MOST_CHARACTERS = 1_100_000;
const MOST_BYTES = 4 * MOST_CHARACTERS;
const MOST_FILES = 20;
const LONGEST_NAME = 120;

/** The text of a file, as {name, text}; throws an Error whose message says why it cannot be attached. */
export async function readFile(file) {
  const name = plainName(file.name);
  const tooLarge = () =>
    new Error(t("{name} is too large: a message has room for {count} characters.", { name, count: number(MOST_CHARACTERS) }));
  if (file.size > MOST_BYTES) throw tooLarge();
  const text = decode(await file.arrayBuffer());
  if (text === null) throw new Error(t("{name} is not a text file: only text can be attached.", { name }));
  if (!text.trim()) throw new Error(t("{name} is empty.", { name }));
  if (text.length > MOST_CHARACTERS) throw tooLarge();
  return { name, text };
}

/** Why some files do not fit into a message together, or null. */
export function tooMuch(text, files) {
  if (files.length > MOST_FILES) return t("A message takes {count} files at most.", { count: MOST_FILES });
  if (quote(text, files).length <= MOST_CHARACTERS) return null;
  return t("Together this is too much: a message has room for {count} characters.", { count: number(MOST_CHARACTERS) });
}

const plainName = (name) => name.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "").slice(-LONGEST_NAME) || "file.txt";

/** The text of bytes in UTF-8 or, with a mark at the beginning, UTF-16; null for what is no text. */
function decode(buffer) {
  const [first, second] = new Uint8Array(buffer, 0, Math.min(2, buffer.byteLength));
  const marked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  const encoding = marked ? (first === 0xff ? "utf-16le" : "utf-16be") : "utf-8";
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(buffer).replaceAll("\r\n", "\n");
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}

/** A message with files: its text, then each file's name and its content between fences. */
export function quote(text, files) {
  const quoted = files.map(({ name, text: content }) => {
    const longest = Math.max(2, ...(content.match(/`{3,}/g) ?? []).map((ticks) => ticks.length));
    const fence = "`".repeat(longest + 1);
    return `File ${name}:\n${fence}\n${content}\n${fence}`;
  });
  return [...(text.trim() || !files.length ? [text] : []), ...quoted].join("\n\n");
}

/** What `quote` made a message of, as {text, files}. */
export function unquote(content) {
  const beginnings = /(?:^|\n\n)(?=File [^\n]{1,200}:\n`{3,}\n)/g;
  for (const { index, 0: gap } of content.matchAll(beginnings)) {
    const files = filesFrom(content, index + gap.length);
    if (files) return { text: content.slice(0, index), files };
  }
  return { text: content, files: [] };
}

/** The files that a text consists of from a position to its end; null if there is anything else. */
function filesFrom(content, start) {
  const files = [];
  const head = /File ([^\n]{1,200}):\n(`{3,})\n/y;
  for (let at = start; ; ) {
    head.lastIndex = at;
    const found = head.exec(content);
    if (!found) return null;
    const end = content.indexOf(`\n${found[2]}`, head.lastIndex);
    if (end < 0) return null;
    files.push({ name: found[1], text: content.slice(head.lastIndex, end) });
    at = end + 1 + found[2].length;
    if (at === content.length) return files;
    if (!content.startsWith("\n\n", at)) return null;
    at += 2;
  }
}
