// Tokens as running text. Thousands of them stay quick: one plain element each, in blocks that the browser paints only
// while they are in sight, and one listener for all. Rounded corners or borders would take half of the frames, and
// `content-visibility` costs more when a block comes into sight than it saves. What does not fit on the first screen is
// drawn in the frames after it.

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { scales } from "./scales.js";
import { nameOf, visible } from "./words.js";

// Tokens of a block at least.
const BLOCK = 60;
const FIRST = 600;
const MORE = 500;
const SAME_LINE = 4;

const withMarks = (text) =>
  text.replace(/[^\n]+/g, visible).replace(/\n/g, "⏎\n");

export class TokenFlow {
  /** told: columns of tokens as /inside/tokens gives them. open(at, element): a token was chosen. */
  constructor(told, colouring, open) {
    this.told = told;
    this.open = open;
    this.control = new Set(told.control);
    this.count = told.ids.length;
    this.tokens = [];
    this.block = null;
    this.at = 0;
    this.chosen = null;
    this.colour(colouring);
    this.element = h("div.fs-tokens", {
      role: "group",
      "aria-label": t("Tokens: arrow keys go from one to the next, Enter opens one"),
    });
    this.element.addEventListener("click", (event) => event.target.at !== undefined && this.choose(event.target.at, true));
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.draw(FIRST);
    if (this.count) this.tokens[0].tabIndex = 0;
    this.later();
  }

  /** Draw the rest, some in each frame. */
  later() {
    if (this.tokens.length === this.count) return;
    requestAnimationFrame(() => {
      this.draw(MORE);
      this.later();
    });
  }

  /** Draw so many more; a block ends where a line ends, so that the text flows as it was written. */
  draw(more) {
    const end = Math.min(this.count, this.tokens.length + more);
    for (let at = this.tokens.length; at < end; at++) {
      if (!this.block) this.element.append((this.block = h("div.fs-token-block")));
      const token = this.token(at);
      this.tokens.push(token);
      this.paint(at);
      this.block.append(token);
      if (this.block.childElementCount >= BLOCK && this.told.texts[at].endsWith("\n")) this.block = null;
    }
  }

  /** One token as the lists name it. */
  tokenAt(at) {
    const { ids, texts, bytes } = this.told;
    return { id: ids[at], text: texts[at], bytes: bytes?.[at], control: this.control.has(at) };
  }

  token(at) {
    const text = this.told.texts[at];
    const element = document.createElement("span");
    element.setAttribute("role", "button");
    element.at = at;
    // A token of blanks alone is marked, and so is one that is only a part of a character.
    if (text.trim()) element.textContent = text;
    else {
      element.textContent = text ? withMarks(text) : "◦";
      element.setAttribute("aria-label", nameOf(this.tokenAt(at)));
    }
    return element;
  }

  colour(name) {
    this.step = scales()[name].step;
    for (let at = 0; at < this.tokens.length; at++) this.paint(at);
  }

  paint(at) {
    const { logprobs, entropies } = this.told;
    const logprob = logprobs?.[at] ?? null;
    const step = logprob === null ? null : this.step(logprob, entropies?.[at] ?? null);
    const marks = `${this.control.has(at) ? " fs-control" : ""}${at === this.chosen ? " fs-chosen" : ""}`;
    this.tokens[at].className = `fs-token${step === null ? "" : ` fs-p${step}`}${marks}`;
  }

  onKey(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = this.target(event.key);
    if (to !== undefined) this.choose(to, false);
    else if (event.key === "Enter" || event.key === " ") this.choose(this.at, true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Where a key leads; undefined for one that leads nowhere. */
  target(key) {
    const last = this.count - 1;
    if (key === "ArrowUp" || key === "ArrowDown") return this.onLine(key === "ArrowDown" ? 1 : -1);
    const at = { ArrowLeft: this.at - 1, ArrowRight: this.at + 1, Home: 0, End: last }[key];
    return at === undefined ? undefined : Math.max(0, Math.min(last, at));
  }

  /** The token nearest on the line below or above. */
  onLine(step) {
    const middle = ({ left, width }) => left + width / 2;
    const from = this.tokens[this.at].getBoundingClientRect();
    let [best, line, nearest] = [this.at, null, Infinity];
    for (let at = this.at + step; at >= 0 && at < this.tokens.length; at += step) {
      const box = this.tokens[at].getBoundingClientRect();
      if (Math.abs(box.top - from.top) < SAME_LINE) continue;
      line ??= box.top;
      if (Math.abs(box.top - line) > SAME_LINE) break;
      const away = Math.abs(middle(box) - middle(from));
      if (away < nearest) [best, nearest] = [at, away];
    }
    return best;
  }

  /** Make a token the one that keys go on from; open: with what belongs to it. */
  choose(at, open) {
    if (at >= this.tokens.length) this.draw(this.count);
    this.tokens[this.at].removeAttribute("tabindex");
    this.tokens[this.at].classList.remove("fs-chosen");
    this.at = this.chosen = at;
    const token = this.tokens[at];
    token.tabIndex = 0;
    token.classList.add("fs-chosen");
    token.focus({ preventScroll: true });
    token.scrollIntoView({ block: "nearest" });
    if (open) this.open(at, token);
  }
}
