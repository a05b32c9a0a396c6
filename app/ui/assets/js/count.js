// How many tokens the message in the box has, and whether they fit: counted by the model's own tokenizer.

import { quote } from "./attachments.js";
import { h } from "./dom.js";
import { number, t } from "./i18n.js";
import { contextUse } from "./topbar.js";

const QUIET_MS = 250;

async function tokensOf(text, signal) {
  const response = await fetch("/tokens", { method: "POST", body: text, signal });
  if (!response.ok) throw new Error(response.statusText);
  return (await response.json()).tokens;
}

export class Count {
  constructor() {
    this.element = h("div.fs-count", { id: "fs-count", hidden: true });
    this.known = new WeakMap(); // tokens of files, which do not change
  }

  /** Count what is in the box, once it has rested. */
  soon(text, files) {
    clearTimeout(this.timer);
    this.abort?.abort();
    if (!text.trim() && !files.length) this.element.hidden = true;
    else this.timer = setTimeout(() => this.count(text, files), QUIET_MS);
  }

  async count(text, files) {
    this.abort = new AbortController();
    const { signal } = this.abort;
    try {
      let tokens = text.trim() ? await tokensOf(text, signal) : 0;
      for (const file of files) {
        if (!this.known.has(file)) this.known.set(file, await tokensOf(quote("", [file]), signal));
        tokens += this.known.get(file);
      }
      if (!signal.aborted) this.show(tokens);
    } catch {
      // There is no model yet, no server, or something newer to count: no figure rather than an old one.
      if (!signal.aborted) this.element.hidden = true;
    }
  }

  show(tokens) {
    const { used, context } = contextUse();
    const alone = tokens >= context;
    const together = used + tokens >= context;
    const values = { count: number(tokens), used: number(used + tokens), context: number(context) };
    const words = alone
      ? t("{count} tokens: more than the model's context of {context}", values)
      : t("{count} tokens · {used} of {context} with this chat", values);
    this.element.hidden = false;
    this.element.textContent = words;
    this.element.classList.toggle("fs-too-much", alone);
    this.element.classList.toggle("fs-nearly", together && !alone);
    this.element.title = together && !alone ? t("The oldest messages may be left out of the model's memory.") : "";
  }
}
