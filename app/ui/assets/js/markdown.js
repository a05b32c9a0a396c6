// Markdown to elements. What a model writes is hostile until sanitized: an allow-list of Markdown's own tags.

import DOMPurify from "../vendor/dompurify/purify.js";
import hljs from "../vendor/highlightjs/highlight.js";
import { Marked } from "../vendor/marked/marked.js";
import { copyWith, h } from "./dom.js";
import { t } from "./i18n.js";

const TAGS = (
  "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i input li ol p pre s strong sub sup table tbody td th thead tr ul"
).split(" ");
const PLAIN_TAG = /^<\/?(?:b|br|em|i|s|strong|sub|sup)\s*\/?>$/i;
const SAFE_LINK = /^(?:https?:\/\/|mailto:)/i;
const LONGEST_HIGHLIGHT = 30_000;

const purifier = DOMPurify(window);
const PURIFY = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ["href", "title", "start", "align", "data-language", "type", "checked", "disabled"],
  ALLOWED_URI_REGEXP: SAFE_LINK,
  ADD_URI_SAFE_ATTR: ["title", "start", "align", "data-language", "type", "checked", "disabled"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer");
  }
  // Task lists are the only use Markdown has for inputs.
  if (node.nodeName === "INPUT" && !(node.getAttribute("type") === "checkbox" && node.hasAttribute("disabled"))) {
    node.remove();
  }
});

const escape = (text) =>
  text.replace(/[&<>"']/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[sign]);

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    // HTML is shown as the text it is: dropping it would lose words silently.
    html: ({ text }) => (PLAIN_TAG.test(text.trim()) ? text : escape(text)),
    // An image would be a request to wherever the model says.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    code: ({ text, lang }) =>
      `<pre data-language="${escape((lang || "").trim().split(/\s/)[0])}"><code>${escape(text)}</code></pre>`,
  },
});

function codeBlock(pre, finished) {
  const language = pre.dataset.language || "";
  const text = pre.textContent;
  const code = h("code");
  code.textContent = text;
  if (finished && hljs.getLanguage(language) && text.length < LONGEST_HIGHLIGHT) {
    const html = hljs.highlight(text, { language, ignoreIllegals: true }).value;
    code.replaceChildren(
      purifier.sanitize(html, { ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true }),
    );
  }
  const copy = h("button.fs-code-copy", { type: "button", "aria-label": t("Copy code") }, t("Copy"));
  copy.addEventListener("click", () => copyWith(copy, text));
  return h(
    "div.fs-code",
    {},
    h("div.fs-code-bar", {}, h("span", {}, language || "text"), copy),
    h("pre", { tabindex: "0", "aria-label": t("Code") }, code),
  );
}

function fragmentOf(token, links, finished) {
  const tokens = [token];
  tokens.links = links;
  const fragment = purifier.sanitize(marked.parser(tokens), PURIFY);
  for (const pre of fragment.querySelectorAll("pre")) pre.replaceWith(codeBlock(pre, finished));
  for (const table of fragment.querySelectorAll("table")) {
    const frame = h("div.fs-table", { tabindex: "0", role: "group", "aria-label": t("Table") });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const link of fragment.querySelectorAll("a:not([href])")) link.replaceWith(...link.childNodes);
  return fragment;
}

/** Renders a growing Markdown text into an element; each update renders only the blocks that changed. */
export class MarkdownView {
  constructor(element) {
    this.element = element;
    this.blocks = []; // {raw, start, node, finished}
    this.text = "";
  }

  /** Show the text. While it grows, blocks before the last two are taken as settled. */
  update(text, finished) {
    const grows = !finished && text.startsWith(this.text);
    this.text = text;
    // Re-reading only the end keeps the cost of a token independent of the length of the answer.
    const kept = grows ? Math.max(0, this.blocks.length - 2) : 0;
    const from = kept ? this.blocks[kept].start : 0;
    const tokens = marked.lexer(text.slice(from));
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
    if (old && old.raw === token.raw && old.settled === settled) {
      old.start = start;
      return;
    }
    const node = h("div.fs-block");
    if (token.type !== "space") node.append(fragmentOf(token, links, settled));
    if (old) old.node.replaceWith(node);
    else this.element.append(node);
    this.blocks[index] = { raw: token.raw, start, settled, node };
  }
}
