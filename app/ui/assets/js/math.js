// Formulas: where they stand in Markdown, and how they are drawn. KaTeX is loaded with the first of them.

import { h } from "./dom.js";

const LONGEST = 5_000;
const katex = {
  ready: null,
  load() {
    this.ready ??= import("../vendor/katex/katex.js").then(() => window.katex);
    return this.ready;
  },
};
// Nothing a formula says may reach outside of it: no links, no styles, no endless macros, no huge boxes.
const refuse = ({ command }) => {
  throw new Error(`${command} is not allowed`);
};
const OPTIONS = { throwOnError: true, trust: refuse, strict: "ignore", maxExpand: 500, maxSize: 20 };
// A number with words after it is money: "$5 and 10$". A formula that begins with a number has signs of one.
const MONEY = /^\d[\d.,]*\s+[^\\^_=+<>{}|/*]*$/;

function stylesheet() {
  if (document.querySelector("link.fs-katex")) return;
  const href = new URL("../vendor/katex/katex.css", import.meta.url).href;
  document.head.append(h("link.fs-katex", { rel: "stylesheet", href }));
}

const token = (type, raw, text, display) => ({ type, raw, text: text.trim(), display });

/** Extensions of marked: `$…$` and `\(…\)` within a line, `$$…$$` and `\[…\]` on their own. */
export const mathExtensions = [
  {
    name: "mathBlock",
    level: "block",
    start: (source) => source.match(/(?<=^|\n) {0,3}(?:\$\$|\\\[)/)?.index,
    tokenizer(source) {
      const found = /^ {0,3}(?:\$\$((?:[^$\\]|\\[\s\S]|\$(?!\$))+?)\$\$|\\\[([\s\S]+?)\\\])[ \t]*(?:\n+|$)/.exec(source);
      if (found) return token("mathBlock", found[0], found[1] ?? found[2], true);
    },
    renderer: placeholder,
  },
  {
    name: "mathInline",
    level: "inline",
    start: (source) => source.match(/(?<![\w$\\])\$|\\[([]/)?.index,
    tokenizer(source) {
      const display = /^(?:\$\$((?:[^$\\]|\\[\s\S])+?)\$\$|\\\[([\s\S]+?)\\\])/.exec(source);
      if (display) return token("mathInline", display[0], display[1] ?? display[2], true);
      const bracket = /^\\\(([\s\S]+?)\\\)/.exec(source);
      if (bracket) return token("mathInline", bracket[0], bracket[1], false);
      // As pandoc has it: no blank inside the signs, no figure after the last one.
      const dollar = /^\$(?![\s$])((?:[^$\\\n]|\\[^\n])*?)(?<![\s\\])\$(?![\d$])/.exec(source);
      if (dollar && !MONEY.test(dollar[1])) return token("mathInline", dollar[0], dollar[1], false);
    },
    renderer: placeholder,
  },
];

const escape = (text) => text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);

function placeholder({ raw, display }) {
  return `<code data-math="${display ? "display" : "inline"}">${escape(raw.trim())}</code>`;
}

/** Draw the formulas of what `placeholder` has left in a fragment; one that is broken stays as it was written. */
export function drawMath(fragment) {
  for (const place of fragment.querySelectorAll("code[data-math]")) {
    const written = place.textContent;
    const display = place.dataset.math === "display";
    const box = h(`span.fs-math${display ? ".fs-math-display" : ""}`, {}, written);
    place.replaceWith(box);
    if (written.length > LONGEST) continue;
    if (window.katex) draw(box, written, display);
    else katex.load().then(() => draw(box, written, display));
  }
}

function draw(box, written, display) {
  stylesheet();
  const inside = written.replace(/^(?:\$\$?|\\[([])/, "").replace(/(?:\$\$?|\\[)\]])$/, "");
  try {
    window.katex.render(inside, box, { ...OPTIONS, displayMode: display });
    if (display) box.tabIndex = 0;
  } catch (error) {
    box.textContent = written;
    box.classList.add("fs-math-broken");
    box.title = String(error.message ?? error).slice(0, 300);
  }
}
