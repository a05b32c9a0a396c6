// Messages that wait above the box while an answer runs; each is sent when the answer before it has ended.

import { unquote } from "./attachments.js";
import { h, icon, iconButton } from "./dom.js";
import { keepWaiting, waitingIn, whenWaitingChanges } from "./drafts.js";
import { t } from "./i18n.js";
import { notice } from "./popup.js";

const EXCERPT = 200;

export class Waiting {
  /** edit(message): take one back into the box; sendNow(): do not wait for the user's word any longer. */
  constructor({ edit, sendNow }) {
    this.edit = edit;
    this.conversation = "";
    this.held = false;
    this.now = h("button.fs-button.fs-small", { type: "button", onclick: sendNow }, t("Send now"));
    this.words = h("span", {});
    this.list = h("ul", { "aria-label": t("Messages that wait") });
    this.element = h("div.fs-waiting-messages", { hidden: true }, h("div.fs-waiting-head", {}, this.words, this.now), this.list);
    whenWaitingChanges((conversation) => conversation === this.conversation && this.draw());
  }

  /** Show those of a conversation. held: whether they wait for the user. */
  show(conversation, held) {
    this.conversation = conversation;
    this.held = held;
    this.draw();
  }

  get messages() {
    return this.conversation ? waitingIn(this.conversation) : [];
  }

  /** Have a message wait; whether there was room to keep it. */
  add(text) {
    const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    return this.keep([...this.messages, { id, text }]);
  }

  remove(id) {
    return this.keep(this.messages.filter((message) => message.id !== id));
  }

  keep(messages) {
    const kept = keepWaiting(this.conversation, messages);
    this.draw();
    return kept;
  }

  takeBack(message) {
    this.remove(message.id);
    this.edit(message);
  }

  discard(message) {
    const { conversation } = this;
    this.remove(message.id);
    const undo = () => {
      keepWaiting(conversation, [...waitingIn(conversation), message]);
      this.draw();
    };
    notice(t("Not sent."), { action: undo, label: t("Undo"), seconds: 10 });
  }

  draw() {
    const { messages } = this;
    this.element.hidden = !messages.length;
    this.words.textContent = this.held ? t("Waiting for you") : t("Sent when the answer has ended");
    this.now.hidden = !this.held;
    this.list.replaceChildren(...messages.map((message) => this.row(message)));
  }

  row(message) {
    const { text, files } = unquote(message.text);
    const names = files.map(({ name }) => name).join(", ");
    return h(
      "li",
      {},
      icon("clock"),
      h("span.fs-waiting-text", {}, text.slice(0, EXCERPT) || names),
      files.length > 0 && text ? h("span.fs-waiting-files", { title: names }, icon("file"), String(files.length)) : null,
      iconButton("pencil", t("Edit waiting message"), () => this.takeBack(message)),
      iconButton("close", t("Do not send"), () => this.discard(message)),
    );
  }
}
