// Markdown that grows: only what is new of it is read and drawn.

import { h } from "./dom.js";
import { fragmentOf, lex } from "./markdown.js";

// Lines of code that are laid out apart, so that a new one does not lay out all before it.
const CHUNK = 4_000;
const FENCE = /^\s*(?:```|~~~)/m;

/** Renders a growing Markdown text into an element; each update renders only the blocks that changed. */
export class MarkdownView {
  constructor(element) {
    this.element = element;
    this.blocks = []; // {raw, start, token, settled, node}
    this.text = "";
  }

  /** Show the text. While it grows, blocks before the last two are taken as settled. */
  update(text, finished) {
    const grows = !finished && text.startsWith(this.text);
    this.text = text;
    // Re-reading only the end keeps the cost of a token independent of the length of the answer.
    const kept = grows ? Math.max(0, this.blocks.length - 2) : 0;
    const from = kept ? this.blocks[kept].start : 0;
    const tokens = lex(text.slice(from));
    let start = from;
    let index = kept;
    tokens.forEach((token, position) => {
      const settled = finished || position < tokens.length - 1;
      this.place(index++, { token, start, settled, links: tokens.links });
      start += token.raw.length;
    });
    for (const block of this.blocks.splice(index)) block.node.remove();
  }

  place(index, { token, start, settled, links }) {
    const old = this.blocks[index];
    const same = old && old.raw === token.raw && old.settled === settled;
    const block = { raw: token.raw, start, token, settled, node: old?.node };
    this.blocks[index] = block;
    if (same || (old && (growCode(old, block) || growList(old, block, links)))) return;
    block.node = h("div.fs-block");
    if (token.type !== "space") block.node.append(fragmentOf(token, links, settled));
    if (old) old.node.replaceWith(block.node);
    else this.element.append(block.node);
  }
}

/** Add to the code that is there; whether that was enough. */
function growCode(old, { token, settled, node }) {
  const more = token.type === "code" && old.token.type === "code" && !settled && !old.settled;
  if (!more || old.token.lang !== token.lang || !token.text.startsWith(old.token.text)) return false;
  const code = node.querySelector("code");
  const added = token.text.slice(old.token.text.length);
  const last = code.lastChild?.lastChild ?? code.lastChild;
  const line = added.indexOf("\n") + 1;
  if (!last || last.length < CHUNK || !line) {
    if (last) last.appendData(added);
    else code.append(added);
  } else {
    last.appendData(added.slice(0, line));
    code.append(h("span.fs-code-chunk", {}, added.slice(line)));
  }
  return true;
}

/** Draw only the entries of a list that are new or have changed; whether that was enough. */
function growList(old, { token, settled, node }, links) {
  const before = old.token;
  const same = token.type === "list" && before.type === "list" && before.ordered === token.ordered;
  if (!same || before.start !== token.start || before.loose !== token.loose) return false;
  // Code gets its colours when it is complete.
  if (settled && !old.settled && FENCE.test(token.raw)) return false;
  const list = node.firstElementChild;
  let at = 0;
  while (at < before.items.length && before.items[at].raw === token.items[at]?.raw) at += 1;
  while (list.children.length > at) list.lastElementChild.remove();
  for (const item of token.items.slice(at)) {
    const alone = fragmentOf({ ...token, items: [item] }, links, settled);
    list.append(...alone.firstElementChild.children);
  }
  return true;
}
