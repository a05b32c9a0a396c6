// Markdown to elements. What a model writes is hostile until sanitized: an allow-list of Markdown's own tags.

import DOMPurify from "../vendor/dompurify/purify.js";
import hljs from "../vendor/highlightjs/highlight.js";
import { Marked } from "../vendor/marked/marked.js";
import { copyWith, h } from "./dom.js";
import { t } from "./i18n.js";
import { drawMath, mathExtensions } from "./math.js";

const TAGS = (
  "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i input li ol p pre s strong sub sup table tbody td th thead tr ul"
).split(" ");
const PLAIN_TAG = /^<\/?(?:b|br|em|i|s|strong|sub|sup)\s*\/?>$/i;
const SAFE_LINK = /^(?:https?:\/\/|mailto:)/i;
const LONGEST_HIGHLIGHT = 30_000;

const purifier = DOMPurify(window);
const PURIFY = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ["href", "title", "start", "align", "data-language", "data-math", "type", "checked", "disabled"],
  ALLOWED_URI_REGEXP: SAFE_LINK,
  ADD_URI_SAFE_ATTR: ["title", "start", "align", "data-language", "data-math", "type", "checked", "disabled"],
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
  extensions: mathExtensions,
  renderer: {
    // HTML is shown as the text it is: dropping it would lose words silently.
    html: ({ text }) => (PLAIN_TAG.test(text.trim()) ? text : escape(text)),
    // An image would be a request to wherever the model says.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    code: ({ text, lang }) =>
      `<pre data-language="${escape((lang || "").trim().split(/\s/)[0])}"><code>${escape(text)}</code></pre>`,
  },
});

/** The text of a block, as tokens of marked. */
export const lex = (text) => marked.lexer(text);

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
  copy.addEventListener("click", () => copyWith(copy, code.textContent));
  return h(
    "div.fs-code",
    {},
    h("div.fs-code-bar", {}, h("span", {}, language || "text"), copy),
    h("pre", { tabindex: "0", "aria-label": t("Code") }, code),
  );
}

/** A block's elements, harmless; finished: no more of it will come, so its code is coloured. */
export function fragmentOf(token, links, finished) {
  const tokens = [token];
  tokens.links = links;
  const fragment = purifier.sanitize(marked.parser(tokens), PURIFY);
  for (const pre of fragment.querySelectorAll("pre")) pre.replaceWith(codeBlock(pre, finished));
  for (const table of fragment.querySelectorAll("table")) {
    const frame = h("div.fs-table", { tabindex: "0", role: "group", "aria-label": t("Table") });
    table.replaceWith(frame);
    frame.append(table);
  }
  drawMath(fragment);
  for (const link of fragment.querySelectorAll("a:not([href])")) link.replaceWith(...link.childNodes);
  return fragment;
}
