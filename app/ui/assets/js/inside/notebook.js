// The notebook: any text, and token by token what may come next. Pick by hand, or have it written.

import { h, icon } from "../dom.js";
import { number, t } from "../i18n.js";
import { openConversation } from "../transcript.js";
import { registerView } from "../view.js";
import { candidateRows, settingsLine } from "./candidates.js";
import { Controls } from "./controls.js";
import { bits, inBits } from "./scales.js";
import { post, stream } from "./service.js";
import { TokenFlow } from "./token_flow.js";
import { legend } from "./tokens.js";

const TYPED_MS = 250;
const COUNT = 40;
const DRAFT = "fireside.notebook";
const FIRST = () => t("Hello,");

function draft() {
  try {
    return sessionStorage.getItem(DRAFT) ?? FIRST();
  } catch {
    return FIRST();
  }
}

class Notebook {
  constructor(element) {
    this.ended = new AbortController();
    this.ids = null; // null: what is written in the box is not yet tokens
    this.logprobs = [];
    this.at = null; // the place whose candidates are shown; null: the end
    this.chat = "";
    this.version = 0; // grows with every change of the text
    this.build(element);
    this.box.value = draft();
    this.ask();
  }

  build(element) {
    this.box = h("textarea.fs-notebook-box", { "aria-label": t("Text"), rows: "5", spellcheck: "false", placeholder: t("Write the beginning; the model goes on.") });
    this.box.addEventListener("input", () => this.typed());
    this.flowPlace = h("div.fs-notebook-flow");
    this.facts = h("p.fs-inside-help", { role: "status" });
    this.list = h("div.fs-candidates", { role: "group", "aria-label": t("Candidates for the next token") });
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    this.line = h("div");
    this.refusal = h("p.fs-refusal", { role: "alert", hidden: true });
    this.controls = new Controls(() => this.ask(), true);
    this.write = h("button.fs-button.fs-primary", { type: "button", onclick: () => this.complete() }, t("Write on"));
    this.stop = h("button.fs-button", { type: "button", hidden: true, onclick: () => this.writing?.abort() }, t("Stop"));
    const back = h("button.fs-button", { type: "button", onclick: () => this.back() }, icon("undo"), t("Take back one"));
    const clear = h("button.fs-button", { type: "button", onclick: () => this.clear() }, t("Clear"));
    const left = h("div.fs-notebook-text", {}, this.mode(), this.box, h("div.fs-inside-row", {}, this.write, this.stop, back, clear), this.refusal, legend((name) => this.flow?.colour(name)), this.flowPlace);
    const right = h("div.fs-notebook-next", {}, h("h3", {}, t("Next token")), this.facts, this.list, this.line, h("h3", {}, t("Settings")), this.controls.element);
    element.append(left, right);
  }

  /** Raw text, or the beginning of an answer in the open chat. */
  mode() {
    const open = openConversation();
    const radio = (value, label, checked, disabled = false) => {
      const input = h("input", { type: "radio", name: "fs-notebook-mode", checked, disabled });
      input.addEventListener("change", () => {
        this.chat = value;
        this.typed();
      });
      return h("label.fs-segment", {}, input, h("span", {}, label));
    };
    const help = h("span.fs-inside-help", {}, t("Raw: the text alone. Chat: the text is the beginning of the next answer."));
    return h("div.fs-inside-row", {}, h("div.fs-segments", { role: "radiogroup", "aria-label": t("What the text is") }, radio("", t("Raw text"), true), radio(open, t("The open chat"), false, !open)), help);
  }

  typed() {
    this.version++;
    this.ids = null;
    this.at = null;
    try {
      sessionStorage.setItem(DRAFT, this.box.value);
    } catch {
      // Only a draft is lost.
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), TYPED_MS);
  }

  request(at = this.at) {
    const from = this.ids ? { ids: at === null ? this.ids : this.ids.slice(0, at) } : { text: this.box.value };
    if (!this.ids && this.chat) from.conversation = this.chat;
    return from;
  }

  /** What may come next, under the settings as they are. */
  async ask() {
    if (this.writing) return;
    // One at a time: a slider moves faster than the model reads.
    this.again = this.asking;
    if (this.asking) return;
    this.asking = true;
    try {
      do {
        this.again = false;
        const { version } = this;
        const request = this.request();
        const { max_tokens: _, ...settings } = this.controls.values;
        const told = await post("next", { ...request, settings, count: COUNT }, this.ended.signal);
        // What was asked for is not what is there any more.
        if (version !== this.version) continue;
        this.refuse(null);
        this.show(told);
      } while (this.again);
    } catch (error) {
      if (!this.ended.signal.aborted) this.refuse(error);
    } finally {
      this.asking = false;
    }
  }

  show(told) {
    if (this.at === null) {
      if (!this.ids) this.logprobs = told.ids.map(() => null);
      this.ids = told.ids;
      this.texts = told.texts;
      this.control = told.control ?? [];
      this.prompt = told.prompt ?? 0;
      this.drawFlow();
    }
    const focused = this.list.contains(document.activeElement);
    this.candidates = told.candidates;
    this.list.replaceChildren(...candidateRows(told, (candidate) => this.pick(candidate)));
    this.line.replaceChildren(settingsLine(told));
    const place = this.at === null ? t("After {count} tokens", { count: number(told.ids.length) }) : t("In place of token {at}", { at: number(this.at + 1) });
    this.facts.textContent = `${place} · ${t("entropy")} ${inBits(bits(told.entropy).toFixed(2))}`;
    if (focused) this.list.firstChild?.focus();
  }

  drawFlow() {
    const told = { ids: this.ids.slice(this.prompt), texts: this.texts.slice(this.prompt), control: this.control.map((at) => at - this.prompt), logprobs: this.logprobs.slice(this.prompt), entropies: null };
    this.flow = new TokenFlow(told, document.querySelector("input[name=fs-colouring]:checked")?.value ?? "probability", (at) => this.look(at + this.prompt));
    this.flowPlace.replaceChildren(this.flow.element);
    if (this.writing) this.flowPlace.scrollTop = this.flowPlace.scrollHeight;
  }

  /** Show what could have stood in place of a token. */
  look(at) {
    this.version++;
    this.at = at;
    this.ask().then(() => this.list.firstChild?.focus());
  }

  /** Put a candidate at the place that is looked at; what stood there and after it goes. */
  pick({ id, text, logprob, control }) {
    const at = this.at ?? this.ids.length;
    this.version++;
    this.ids = [...this.ids.slice(0, at), id];
    this.texts = [...this.texts.slice(0, at), text];
    this.logprobs = [...this.logprobs.slice(0, at), logprob];
    this.control = this.control.filter((each) => each < at);
    if (control) this.control.push(at);
    this.at = null;
    this.fill();
    this.drawFlow();
    this.ask();
  }

  back() {
    if (!this.ids || this.ids.length <= Math.max(1, this.prompt)) return;
    const last = this.ids.length - 1;
    this.version++;
    for (const name of ["ids", "texts", "logprobs"]) this[name] = this[name].slice(0, last);
    this.control = this.control.filter((each) => each < last);
    this.at = null;
    this.fill();
    this.ask();
  }

  clear() {
    this.box.value = "";
    this.flowPlace.replaceChildren();
    this.list.replaceChildren();
    this.typed();
    this.box.focus();
  }

  /** The box shows the text of the tokens, without control tokens. */
  fill() {
    const control = new Set(this.control);
    this.box.value = this.texts.filter((_, at) => at >= this.prompt && !control.has(at)).join("");
    this.box.scrollTop = this.box.scrollHeight;
  }

  /** Have the model write on from here. */
  async complete() {
    if (!this.ids) await this.ask();
    if (!this.ids) return;
    this.writing = new AbortController();
    [this.write.hidden, this.stop.hidden] = [true, false];
    this.stop.focus();
    this.at = null;
    this.refuse(null);
    const { max_tokens: most, ...settings } = this.controls.values;
    try {
      for await (const [event, data] of stream("complete", { ids: this.ids, settings, max_tokens: most }, this.writing.signal)) {
        if (event === "failed") throw new Error(data.error);
        if (event !== "token") continue;
        this.ids.push(data.id);
        this.texts.push(data.text);
        this.logprobs.push(data.logprob);
        if (data.control) this.control.push(this.ids.length - 1);
        this.frame ??= requestAnimationFrame(() => this.grow());
      }
    } catch (error) {
      if (!this.writing.signal.aborted) this.refuse(error);
    }
    this.writing = null;
    [this.write.hidden, this.stop.hidden] = [false, true];
    if (this.ended.signal.aborted) return;
    this.write.focus();
    this.grow();
    this.ask();
  }

  grow() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.fill();
    this.drawFlow();
  }

  refuse(error) {
    this.refusal.textContent = error?.message ?? "";
    this.refusal.hidden = !error;
  }

  onKey(event) {
    const rows = [...this.list.children];
    const at = rows.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to !== undefined) rows[Math.max(0, Math.min(rows.length - 1, to))].focus();
    else if (event.key === "ArrowLeft") this.back();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  close() {
    this.ended.abort();
    this.writing?.abort();
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
  }
}

registerView("notebook", {
  title: t("Notebook"),
  mount(element) {
    const notebook = new Notebook(element);
    return () => notebook.close();
  },
});
