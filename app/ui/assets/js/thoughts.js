// What a reasoning model thought before its answer: a quiet line that opens.

import { h } from "./dom.js";
import { MarkdownView } from "./growing.js";
import { t } from "./i18n.js";
import { Pace } from "./pace.js";

function duration(ms) {
  const seconds = Math.max(1, Math.round(ms / 1000));
  return seconds < 60 ? t("{count} s", { count: seconds }) : t("{minutes} min {seconds} s", { minutes: Math.floor(seconds / 60), seconds: seconds % 60 });
}

/** The thoughts above an answer's body; nothing is shown until there are any. */
export class Thoughts {
  constructor(body) {
    this.body = body;
    this.words = h("span.fs-thoughts-words");
    this.content = h("div.fs-md.fs-thoughts-text");
    this.element = h("details.fs-thoughts", {}, h("summary", {}, this.words), this.content);
    this.view = new MarkdownView(this.content);
    this.pace = new Pace(() => this.draw());
    // Most are never opened, and some are very long.
    this.element.addEventListener("toggle", () => this.draw());
    this.show("", null);
  }

  /** Show thoughts that are complete; ms: how long they took, null where nobody knows. */
  show(text, ms) {
    this.text = text;
    this.begun = null;
    this.finish(ms);
  }

  /** Take in more of them. */
  grow(piece) {
    this.begun ??= performance.now();
    this.text += piece;
    this.words.textContent = t("Thinking");
    this.element.classList.add("fs-thinking");
    this.place();
    this.pace.request();
  }

  /** The answer has begun, or there will be none. */
  finish(ms = this.begun === null ? null : performance.now() - this.begun) {
    this.words.textContent = ms === null ? t("Thoughts") : t("Thought for {duration}", { duration: duration(ms) });
    this.element.classList.remove("fs-thinking");
    this.place();
    this.draw();
  }

  get thinking() {
    return this.element.classList.contains("fs-thinking");
  }

  place() {
    if (!this.text) this.element.remove();
    else if (!this.element.isConnected) this.body.before(this.element);
  }

  draw() {
    if (this.element.open) this.view.update(this.text, !this.thinking);
  }
}
