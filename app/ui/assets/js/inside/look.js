// Inside the model for one token: where each layer and head looked, and what each layer would have said.

import { h } from "../dom.js";
import { number, t } from "../i18n.js";
import { registerPanelTab } from "../panel.js";
import { Picture } from "./picture.js";
import { percent } from "./scales.js";
import { fill, post } from "./service.js";
import { TokenFlow } from "./token_flow.js";
import { nameOf } from "./words.js";

const WIDEST = 7_000;
const mean = (rows) => rows[0].map((_, at) => rows.reduce((sum, row) => sum + row[at], 0) / rows.length);

/** A drop-down; the first choice is the mean of all. */
function choice(label, count, change) {
  const select = h("select.fs-input", { "aria-label": label });
  select.append(h("option", { value: "" }, t("Mean of all")));
  for (let at = 0; at < count; at++) select.append(h("option", { value: String(at) }, String(at)));
  select.addEventListener("change", change);
  return { select, field: h("label.fs-field", {}, label, select) };
}

/** Everything seen of one token; a view that must be closed. */
class Look {
  constructor(told) {
    this.told = told;
    this.names = told.texts.map((text, at) => nameOf({ id: told.ids[at], text, bytes: told.bytes[at] }));
    this.element = h("div");
    this.pictures = new Map();
    this.context = h("div.fs-tokens.fs-looked-at", { role: "group", "aria-label": t("The text before, by how much was looked at each token") });
    this.spans = told.texts.map((text, at) => {
      const span = h("span.fs-token", { role: "button", tabindex: "-1" }, text.trim() ? text : told.bytes[at] ? "◦" : this.names[at]);
      span.at = at;
      return span;
    });
    this.context.append(...this.spans);
    this.context.addEventListener("click", (event) => event.target.at !== undefined && this.aim(event.target.at));
    const { layers, heads } = told;
    const change = () => this.weigh();
    this.layer = choice(t("Layer"), layers, change);
    this.head = choice(t("Head"), heads, change);
    // Most of the weight rests on the first token whatever the text is.
    const averages = mean(told.attention.map(mean));
    this.target = averages.reduce((best, each, at) => (at > 0 && (best === 0 || each > averages[best]) ? at : best), 0);
    this.element.append(this.attention(), this.readouts());
    this.weigh();
    this.aim(this.target);
  }

  close() {
    for (const picture of this.pictures.values()) picture.close();
  }

  chosen(select) {
    return select.value === "" ? null : Number(select.value);
  }

  /** The weights of a layer and a head, null for the mean. */
  weights(layer, head) {
    const of = (heads) => (head === null ? mean(heads) : heads[head]);
    return layer === null ? mean(this.told.attention.map(of)) : of(this.told.attention[layer]);
  }

  attention() {
    this.byLayer = h("div");
    this.byHead = h("div");
    return h(
      "section",
      {},
      h("h3", {}, t("Where it looked, to choose {token}", { token: nameOf(this.told.chosen) })),
      h("div.fs-two", {}, this.layer.field, this.head.field),
      this.context,
      this.byLayer,
      this.byHead,
      h("p.fs-inside-help", {}, t("Attention says from which tokens a head took something over. It does not say what, nor that it mattered: most heads rest much of their weight on the first token, and a token that is hardly looked at may decide the answer by way of another.")),
    );
  }

  /** Tint the text by the chosen layer and head, and draw all layers of that head. */
  weigh() {
    const head = this.chosen(this.head.select);
    const weights = this.weights(this.chosen(this.layer.select), head);
    const highest = Math.max(...weights.slice(1), 1e-6);
    this.spans.forEach((span, at) => {
      span.style.background = `color-mix(in srgb, var(--fs-heat) ${Math.round(75 * Math.min(1, Math.sqrt(weights[at] / highest)))}%, transparent)`;
      span.title = `${this.names[at]}: ${percent(weights[at])}`;
    });
    const rows = this.told.attention.map((_, layer) => this.weights(layer, head));
    const most = Math.max(...rows.map((row) => Math.max(...row.slice(1))), 1e-6);
    const width = Math.max(2, Math.min(14, WIDEST / this.names.length));
    this.replace("layers", this.byLayer, {
      title: head === null ? t("Attention by layer, mean of the heads") : t("Attention by layer, head {head}", { head }),
      rows: rows.map((_, layer) => String(layer)),
      columns: this.names,
      value: (row, column) => Math.sqrt(Math.min(1, rows[row][column] / most)),
      told: (row, column) => t("Layer {layer}: {share} on {token}", { layer: row, share: percent(rows[row][column]), token: this.names[column] }),
      choose: (row, column) => {
        this.layer.select.value = String(row);
        this.aim(column);
        this.weigh();
      },
      file: "attention-layers",
      cell: { width, height: 10 },
      labels: { width: 30, height: width < 11 ? 0 : 92 },
    });
  }

  /** Show how much each head of each layer looked at one token. */
  aim(at) {
    this.target = at;
    const { attention, heads } = this.told;
    for (const span of this.spans) span.classList.toggle("fs-chosen", span.at === at);
    const most = Math.max(...attention.flat().map((row) => row[at]), 1e-6);
    this.replace("heads", this.byHead, {
      title: t("Heads that looked at {token}", { token: this.names[at] }),
      rows: attention.map((_, layer) => String(layer)),
      columns: Array.from({ length: heads }, (_, head) => String(head)),
      value: (row, column) => attention[row][column][at] / most,
      told: (row, column) => t("Layer {layer}, head {head}: {share} on {token}", { layer: row, head: column, share: percent(attention[row][column][at]), token: this.names[at] }),
      choose: (row, column) => {
        this.layer.select.value = String(row);
        this.head.select.value = String(column);
        this.weigh();
      },
      file: "attention-heads",
      cell: { width: Math.max(12, Math.min(26, 400 / heads)), height: 12 },
      labels: { width: 30, height: 24 },
    });
  }

  readouts() {
    const all = [...this.told.readouts].reverse();
    const place = h("div");
    const name = (layer) => (layer === 0 ? t("input") : String(layer));
    const { chosen } = this.told;
    this.replace("readouts", place, {
      title: t("What each layer would have said"),
      rows: all.map(({ layer }) => name(layer)),
      columns: [t("likeliest"), "2", "3", t("rank of {token}", { token: nameOf(chosen) })],
      value: (row, column) => (column < 3 ? (all[row].top[column]?.probability ?? 0) : all[row].chosen) * 0.62,
      text: (row, column) => (column < 3 ? (all[row].top[column] ? nameOf(all[row].top[column]) : null) : `${number(all[row].rank)} · ${percent(all[row].chosen)}`),
      told: (row, column) => {
        const { layer, top, chosen: probability, rank } = all[row];
        const where = layer === 0 ? t("The input") : t("After layer {layer}", { layer });
        if (column === 3) return t("{where}: {token} has rank {rank}, {share}", { where, token: nameOf(chosen), rank: number(rank), share: percent(probability) });
        return `${where}: ${top.map((each) => `${nameOf(each)} ${percent(each.probability)}`).join(", ")}`;
      },
      file: "layers",
      cell: { width: 104, height: 18 },
      labels: { width: 44, height: 24 },
    });
    return h(
      "section",
      {},
      h("h3", {}, t("What each layer would have said")),
      place,
      h("p.fs-inside-help", {}, t("Each layer's state is read as if it were the last, by the model's own final norm and head. Only the last row is what the model said. Earlier layers were never trained to be read this way: a word that appears says the state points there already, one that does not says little.")),
    );
  }

  replace(name, place, description) {
    const picture = new Picture(description);
    this.pictures.get(name)?.close();
    this.pictures.set(name, picture);
    const heading = name === "readouts" ? [] : [h("h4", {}, description.title)];
    place.replaceChildren(...heading, picture.element);
    picture.draw();
  }
}

/** A view that looks at one token after another: `ask(at, signal)` gets what the server tells. */
export function lookView(element, ask) {
  const place = h("div", { "aria-live": "polite" });
  let look = null;
  let asked = null;
  element.append(place);
  const close = () => {
    asked?.abort();
    look?.close();
    look = null;
  };
  const show = async (at) => {
    close();
    const { signal } = (asked = new AbortController());
    place.replaceChildren(h("p.fs-remark", {}, t("Computing…")));
    try {
      look = new Look(await ask(at, signal));
      place.replaceChildren(look.element);
    } catch (error) {
      if (!signal.aborted) place.replaceChildren(h("p.fs-refusal", { role: "alert" }, error.message));
    }
  };
  return { show, close };
}

registerPanelTab({
  id: "look",
  label: t("Look inside"),
  appliesTo: (message) => message.role === "assistant" && message.status !== "streaming" && Boolean(message.content),
  mount(element, message) {
    const place = h("div");
    const view = lookView(place, (at, signal) => post(`look/${message.id}/${at}`, {}, signal));
    const end = fill(element, `tokens/${message.id}?count=100000`, (told) => {
      if (!told.count) {
        const words = told.can_score ?? t("This text has no tokens of the loaded model: score it under Tokens, then look inside.");
        element.replaceChildren(h("p.fs-remark", {}, words));
        return;
      }
      const flow = new TokenFlow(told, "probability", (at) => view.show(at));
      flow.element.classList.add("fs-chooser");
      element.replaceChildren(h("p.fs-inside-help", {}, t("Choose the token to look into.")), flow.element, place);
    });
    return () => {
      end();
      view.close();
    };
  },
});
