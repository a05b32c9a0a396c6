// One question, several answers side by side: with two to four presets, or a sweep of temperatures or seeds.

import { open } from "../destination.js";
import { h, icon } from "../dom.js";
import { number, t } from "../i18n.js";
import { MarkdownView } from "../growing.js";
import { presets } from "../presets.js";
import { follow } from "../stream.js";
import { closeView, openView, registerView } from "../view.js";
import { percent } from "./scales.js";
import { get, post } from "./service.js";

const MOST_PRESETS = 4;
const MOST_SWEPT = 16;
// A browser keeps six connections to a server; more answers than that are asked for together.
const MOST_STREAMS = 4;
const POLL_MS = 400;

const list = (text) => text.split(/[,\s]+/).filter(Boolean).map(Number);

/** Ask what to compare, and begin. asked: {conversation, message} or {conversation, text}; begun(): it was taken. */
export function openCompare(asked, begun = () => {}) {
  const kinds = {
    presets: () => t("Presets"),
    temperature: () => t("Temperatures"),
    seed: () => t("Seeds"),
  };
  let kind = "presets";
  const boxes = presets().map(({ id, name }, at) => h("label.fs-check", {}, h("input", { type: "checkbox", value: id, checked: at < 2 }), name));
  const fields = {
    presets: h("div.fs-compare-presets", { role: "group", "aria-label": t("Presets") }, ...boxes),
    temperature: field(t("Temperatures, with commas between them"), "0.2, 0.6, 1.0, 1.4"),
    seed: field(t("Seeds, with commas between them"), "1, 2, 3, 4, 5, 6"),
  };
  const refusal = h("p.fs-refusal", { role: "alert", hidden: true });
  const refuse = (words) => {
    refusal.textContent = words;
    refusal.hidden = !words;
  };
  const radio = (name) => {
    const input = h("input", { type: "radio", name: "fs-compare-kind", value: name, checked: name === kind });
    input.addEventListener("change", () => {
      kind = name;
      refuse("");
      for (const [each, element] of Object.entries(fields)) element.hidden = each !== kind;
    });
    return h("label.fs-segment", {}, input, h("span", {}, kinds[name]()));
  };
  for (const name of ["temperature", "seed"]) fields[name].hidden = true;
  const cancel = h("button.fs-button", { type: "button", onclick: () => dialog.close() }, t("Cancel"));
  const go = h("button.fs-button.fs-primary", { type: "submit" }, t("Compare"));
  const title = t("Compare answers");
  const form = h(
    "form",
    {},
    h("h3", {}, title),
    h("div.fs-segments", { role: "radiogroup", "aria-label": t("By") }, ...Object.keys(kinds).map(radio)),
    ...Object.values(fields),
    refusal,
    h("p.fs-inside-help", {}, t("The question is read once. All answers stay as versions of one another.")),
    h("div.fs-dialog-row", {}, cancel, go),
  );
  const dialog = h("dialog.fs-dialog.fs-compare-dialog", { "aria-label": title }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = boxes.map((label) => label.firstChild).filter((input) => input.checked);
    const swept = kind === "presets" ? [] : list(fields[kind].querySelector("input").value);
    if (kind === "presets" && (chosen.length < 2 || chosen.length > MOST_PRESETS)) return refuse(t("Choose two to four presets."));
    if (kind !== "presets" && (swept.length < 2 || swept.length > MOST_SWEPT || swept.some(Number.isNaN))) {
      return refuse(t("Give two to sixteen numbers."));
    }
    go.disabled = true;
    try {
      const what = kind === "presets" ? { presets: chosen.map((input) => input.value) } : { sweep: { [kind]: swept } };
      const { conversation, messages } = await post("compare", { ...asked, ...what });
      dialog.close();
      begun();
      openView("compare", { c: conversation, answer: messages[0].message });
    } catch (error) {
      refuse(error.message);
    }
    go.disabled = false;
  });
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function field(label, value) {
  const input = h("input.fs-input", { type: "text", inputmode: "decimal" });
  input.value = value;
  return h("label.fs-field", {}, label, input);
}

/** One of the answers. */
class Column {
  constructor(answer, pick) {
    this.answer = answer;
    this.body = h("div.fs-md");
    this.view = new MarkdownView(this.body);
    this.different = h("div.fs-difference", { hidden: true });
    this.failure = h("p.fs-refusal", { hidden: true });
    this.figures = h("span.fs-column-figures");
    this.use = h("button.fs-button.fs-small", { type: "button", onclick: () => pick(answer.message) }, icon("check"), t("Use this one"));
    this.element = h(
      "article.fs-column",
      { "aria-label": answer.label },
      h("div.fs-column-head", {}, h("h3", {}, answer.label), this.figures, this.use),
      this.body,
      this.different,
      this.failure,
    );
    this.text = "";
    this.take(answer);
  }

  /** Show an answer as it stands. */
  take(answer) {
    Object.assign(this.answer, answer);
    this.show(answer.content ?? "", answer.status !== "streaming", answer.tokens);
    this.failure.textContent = answer.error ?? "";
    this.failure.hidden = !answer.error;
    this.use.replaceChildren(icon("check"), answer.picked ? t("Chosen") : t("Use this one"));
    this.element.classList.toggle("fs-picked", Boolean(answer.picked));
  }

  show(text, done, tokens) {
    this.text = text;
    this.done = done;
    this.view.update(text, done);
    this.element.setAttribute("aria-busy", String(!done));
    this.element.classList.toggle("fs-streaming", !done);
    this.use.disabled = !done;
    if (tokens !== undefined && tokens !== null) this.figures.textContent = t("{count} tokens", { count: number(tokens) });
  }

  /** Stream it; ended(): it is there. */
  follow(ended) {
    this.text = "";
    let frame = null;
    return follow(this.answer.message, {
      text: (piece, _, stats) => {
        this.text += piece;
        frame ??= requestAnimationFrame(() => {
          frame = null;
          if (!this.done) this.show(this.text, false, stats?.new_tokens);
        });
      },
      done: (message) => {
        this.show(message.content, true, message.figures?.new_tokens);
        ended();
      },
      lost: () => {},
      gone: ended,
    });
  }

  async compareWith(base) {
    const on = base !== null && base !== this;
    [this.body.hidden, this.different.hidden] = [on, !on];
    if (!on) return;
    const { spans } = await get(`difference/${base.answer.message}/${this.answer.message}`);
    const tag = { same: "span", only_a: "del", only_b: "ins" };
    this.different.replaceChildren(...spans.map(([kind, text]) => h(tag[kind], {}, text)));
  }
}

function summaryOf({ distinct, similarity, first_difference: first, words }, answers) {
  const count = answers.length;
  const prompt = answers.reduce((sum, each) => sum + (each.prompt_tokens ?? 0), 0);
  const reused = answers.reduce((sum, each) => sum + (each.cached_tokens ?? 0), 0);
  const rows = [
    [t("Different answers"), t("{distinct} of {count}", { distinct: number(distinct), count: number(count) })],
    [t("Words in common, on average"), percent(similarity)],
    [t("First difference"), distinct === 1 ? t("none") : t("word {at}", { at: number(first + 1) })],
    [t("Words"), t("{least} to {most}, {mean} on average", { least: number(words.least), most: number(words.most), mean: number(Math.round(words.mean)) })],
    [t("Tokens of the prompts that were computed"), t("{distinct} of {count}", { distinct: number(prompt - reused), count: number(prompt) })],
  ];
  return h("dl.fs-token-facts.fs-compare-summary", { "aria-label": t("How much the answers differ") }, ...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

class Comparison {
  /** answer: the id of any of the answers. */
  constructor(element, answer) {
    this.answer = answer;
    this.ends = [];
    this.ended = new AbortController();
    this.refusal = h("p.fs-refusal", { role: "alert", hidden: true });
    this.bar = h("div.fs-inside-row.fs-compare-bar");
    this.summary = h("div", { role: "status" });
    this.grid = h("div.fs-columns");
    element.append(this.bar, this.summary, this.refusal, this.grid);
    this.begin();
  }

  async begin() {
    try {
      const told = await this.look();
      this.conversation = told.conversation;
      this.columns = told.answers.map((answer) => new Column(answer, (message) => this.pick(message)));
      this.grid.replaceChildren(...this.columns.map((column) => column.element));
      this.grid.classList.toggle("fs-many", this.columns.length > MOST_STREAMS);
      this.drawBar();
      this.settle(told);
      const streaming = this.columns.filter((column) => !column.done);
      if (this.columns.length > MOST_STREAMS) this.poll();
      else for (const column of streaming) this.ends.push(column.follow(() => this.look().then((now) => this.settle(now))));
    } catch (error) {
      this.refuse(error);
    }
  }

  look() {
    return get(`comparison/${this.answer}`, this.ended.signal);
  }

  async poll() {
    while (!this.ended.signal.aborted && this.columns.some((column) => !column.done)) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      try {
        const told = await this.look();
        told.answers.forEach((answer, at) => this.columns[at].take(answer));
        this.settle(told);
      } catch (error) {
        this.refuse(error);
        return;
      }
    }
  }

  settle({ summary, answers }) {
    if (summary) this.summary.replaceChildren(summaryOf(summary, answers));
    for (const input of this.bar.querySelectorAll("select")) input.disabled = this.columns.some((column) => !column.done);
  }

  /** What is done with all of them. */
  drawBar() {
    const select = h("select.fs-input", { "aria-label": t("Differences from") }, h("option", { value: "" }, t("off")));
    this.columns.forEach(({ answer }, at) => select.append(h("option", { value: String(at) }, answer.label)));
    select.addEventListener("change", () => this.differ(select.value === "" ? null : this.columns[Number(select.value)]));
    this.bar.replaceChildren(h("label.fs-inline-field", {}, t("Differences from"), select));
  }

  async differ(base) {
    this.refuse(null);
    try {
      await Promise.all(this.columns.map((column) => column.compareWith(base)));
    } catch (error) {
      this.refuse(error);
    }
  }

  async pick(message) {
    this.refuse(null);
    try {
      await post(`pick/${message}`);
      closeView();
      open(this.conversation);
    } catch (error) {
      this.refuse(error);
    }
  }

  refuse(error) {
    if (this.ended.signal.aborted) return;
    this.refusal.textContent = error?.message ?? "";
    this.refusal.hidden = !error;
  }

  close() {
    this.ended.abort();
    for (const end of this.ends) end();
  }
}

registerView("compare", {
  title: t("Compare answers"),
  mount(element, parameters) {
    const comparison = new Comparison(element, encodeURIComponent(parameters.get("answer") ?? ""));
    return () => comparison.close();
  },
});
