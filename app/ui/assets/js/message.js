// One message of the transcript: a row that can be drawn, grown and finished.

import { quote, unquote } from "./attachments.js";
import { copyWith, h, icon, iconButton } from "./dom.js";
import { editInPlace } from "./editor.js";
import { figuresLine } from "./figures.js";
import { MarkdownView } from "./growing.js";
import { number, t } from "./i18n.js";
import { Pace } from "./pace.js";
import { hasPanel, openPanel } from "./panel.js";
import { moreButton, versionSwitch } from "./toolbar.js";
import { Thoughts } from "./thoughts.js";
import { isModelReady } from "./topbar.js";

const WAITING = {
  waiting: t("Waiting for the model to load"),
  queued: t("Waiting for its turn"),
  prefill: t("Reading"),
  decode: t("Thinking"),
};
const LONG_QUESTION = 2_000;
const LONG_FILE = 20_000;

/** What an answer waits for; the server counts the prompt's tokens before it has the engine read them. */
const wordsOf = (phase) => WAITING[phase === "waiting" && isModelReady() ? "prefill" : phase] ?? t("Working");

/** What is said below an answer that did not end by itself; "" for one that did. */
function remark(message) {
  if (message.status === "stopped") return t("Stopped.");
  if (message.status === "interrupted" && !message.error) return t("Interrupted: Fireside was closed while this was being written.");
  if (message.finish_reason === "length") return t("Cut off: the limit of new tokens or the end of the context was reached.");
  return "";
}

/** Only the beginning of a very long text: laying all of it out would take seconds. */
function showText(element, text, longest) {
  if (text.length <= longest) {
    element.textContent = text;
    return;
  }
  const all = h("button.fs-link", { type: "button" }, t("Show all {count} characters", { count: number(text.length) }));
  all.addEventListener("click", () => (element.textContent = text));
  element.replaceChildren(`${text.slice(0, longest / 2)}…\n`, all);
}

/** A file that came along, folded. */
function foldedFile({ name, text }) {
  const size = t("{count} characters", { count: number(text.length) });
  const content = h("pre.fs-file-text", { tabindex: "0", "aria-label": name });
  const summary = h("summary", {}, icon("file"), h("span.fs-chip-name", {}, name), h("span.fs-chip-size", {}, size));
  const element = h("details.fs-file", {}, summary, content);
  element.addEventListener("toggle", () => content.textContent || showText(content, text, LONG_FILE));
  return element;
}

export class MessageRow {
  /** `actions`: retry, version, goOn and branch of an id; edit(id, text), remove(id, alone), context(id, wanted). */
  constructor(message, actions) {
    this.actions = actions;
    this.text = "";
    const mine = message.role === "user";
    this.element = h(`article.fs-turn.fs-${mine ? "user" : "answer"}`, { "aria-label": mine ? t("You") : "Fireside", tabindex: "-1" });
    this.element.dataset.id = message.id;
    this.body = h(mine ? "div.fs-bubble" : "div.fs-md");
    this.foot = h("div.fs-foot");
    this.element.append(this.body, this.foot);
    if (!mine) {
      this.view = new MarkdownView(this.body);
      this.pace = new Pace(() => this.streaming && this.view.update(this.text, false));
      this.thoughts = new Thoughts(this.body);
      this.waiting = h("div.fs-waiting", {}, h("span.fs-ember"), h("span.fs-waiting-words"));
    }
    this.show(message);
  }

  get streaming() {
    return this.message.status === "streaming";
  }

  /** Draw a message as it is in the store; the same one again changes nothing. */
  show(message) {
    const described = JSON.stringify(message);
    if (described === this.described) return;
    this.described = described;
    this.message = message;
    if (message.role === "user") {
      this.showQuestion(message.content);
      this.foot.replaceChildren(
        ...this.remembered(message),
        h(
          "div.fs-tools",
          { role: "toolbar", "aria-label": t("Message") },
          ...versionSwitch(message, this.actions),
          this.copyButton(t("Copy message")),
          // Shown where its answer is gone.
          iconButton("retry", t("Regenerate"), () => this.actions.retry(message.id), "button.fs-icon.fs-if-last"),
          this.editButton(),
          ...this.lookButton(),
          moreButton(message, this.actions),
        ),
      );
      return;
    }
    this.element.setAttribute("aria-busy", String(this.streaming));
    this.element.classList.toggle("fs-streaming", this.streaming);
    if (this.streaming) {
      this.text = "";
      this.thoughts.show("", null);
      this.view.update("", true);
      this.say("waiting");
      this.foot.replaceChildren();
      return;
    }
    this.waiting.remove();
    this.thoughts.show(message.reasoning, message.thought_ms);
    this.text = message.content;
    this.view.update(this.text, true);
    this.foot.replaceChildren(...this.footer(message));
  }

  showQuestion(content) {
    const { text, files } = unquote(content);
    const words = h("div.fs-words");
    showText(words, text, LONG_QUESTION);
    this.body.replaceChildren(...(text ? [words] : []), ...files.map(foldedFile));
  }

  /** Its text comes again from the first character. */
  restart() {
    this.text = "";
    this.thoughts.show("", null);
  }

  /** Take in more of an answer in the making, and of the thoughts before it; the page draws it with the next frame. */
  grow(piece, phase, thoughts = "") {
    this.text += piece;
    if (thoughts) this.thoughts.grow(thoughts);
    if (piece && this.thoughts.thinking) this.thoughts.finish();
    if (this.text || this.thoughts.text) this.waiting.remove();
    else this.say(phase);
    if (piece) this.pace.request();
  }

  /** Words in place of text that is not there. */
  say(phase, words = wordsOf(phase)) {
    this.waiting.lastChild.textContent = words;
    if (!this.waiting.isConnected) this.body.after(this.waiting);
  }

  copyButton(label) {
    const button = iconButton("copy", label, () => copyWith(button, this.text || this.message.content));
    return button;
  }

  footer(message) {
    const parts = this.remembered(message);
    if (message.status === "error" || message.error) {
      parts.push(
        h(
          "div.fs-failure",
          { role: "alert" },
          icon("alert"),
          h("span", {}, message.error || t("The answer failed.")),
          h("button.fs-button", { type: "button", onclick: () => this.actions.retry(message.id) }, t("Try again")),
        ),
      );
    }
    const words = remark(message);
    if (words) parts.push(h("p.fs-remark", {}, words));
    const tools = h("div.fs-tools", { role: "toolbar", "aria-label": t("Answer") });
    tools.append(...versionSwitch(message, this.actions), this.copyButton(t("Copy")));
    tools.append(iconButton("retry", t("Regenerate"), () => this.actions.retry(message.id)));
    if (message.can_continue)
      tools.append(iconButton("forward", t("Continue"), () => this.actions.goOn(message.id), "button.fs-icon.fs-if-last"));
    tools.append(this.editButton(), ...this.lookButton(), moreButton(message, this.actions));
    const figures = message.figures ? figuresLine(message.figures) : "";
    if (figures) {
      const look = (event) => openPanel(message.id, "figures", event.currentTarget);
      tools.append(h("button.fs-figures-line", { type: "button", title: t("Figures of this answer"), onclick: look }, figures));
    }
    parts.push(tools);
    return parts;
  }

  editButton() {
    return iconButton("pencil", t("Edit"), () => this.edit());
  }

  /** Write it anew in its place; the files that came along with it stay. */
  edit() {
    const { id, role, content } = this.message;
    const { text, files } = role === "user" ? unquote(content) : { text: content, files: [] };
    const action = role === "user" ? t("Send") : t("Save");
    editInPlace(this.body, text, action, (written) => this.actions.edit(id, quote(written, files)));
  }

  /** The door to all there is to see of it. */
  lookButton() {
    if (!hasPanel(this.message)) return [];
    const look = (event) => openPanel(this.message.id, "", event.currentTarget);
    return [iconButton("inside", t("Look inside"), look, "button.fs-icon.fs-look")];
  }

  /** Whether the model sees it: `reason` why not, or null. What is merely old is told by the line above the rest. */
  setMemory(reason) {
    this.element.classList.toggle("fs-unseen", Boolean(reason));
    this.element.dataset.unseen = reason ?? "";
  }

  /** What the user decided about the model's memory of it. */
  remembered({ context }) {
    const words = { pinned: t("Always in the model's memory."), excluded: t("Left out of the model's memory.") }[context];
    return words ? [h("p.fs-remark", {}, words)] : [];
  }
}
