// An answer made again from its record: the same to the last token, or where it differs.

import { h, icon } from "../dom.js";
import { number, t } from "../i18n.js";
import { registerPanelTab } from "../panel.js";
import { openConversation } from "../transcript.js";
import { percent } from "./scales.js";
import { get, post } from "./service.js";
import { nameOf } from "./words.js";

const POLL_MS = 250;

function distribution(title, { id, top }) {
  const highest = Math.max(...top.map(({ logprob }) => logprob), -1000);
  const rows = top.map((each) => {
    const bar = h("span.fs-bar", {}, h("i"));
    bar.firstChild.style.width = `${100 * Math.exp(each.logprob - highest)}%`;
    const row = h("li.fs-candidate", {}, h("span.fs-candidate-name", {}, nameOf(each)), bar, h("span.fs-candidate-share", {}, percent(Math.exp(each.logprob))));
    if (each.id === id) row.setAttribute("aria-current", "true");
    return row;
  });
  return h("div", {}, h("h4", {}, title), h("ul.fs-distribution", {}, ...rows));
}

function verdict({ verdict: kind, tokens, note, notes, at, stored, fresh }) {
  const lines = [note, ...(notes ?? [])].filter(Boolean).map((line) => h("p.fs-inside-help", {}, line));
  if (kind === "identical") {
    const words = t("Identical: all {count} tokens are the same.", { count: number(tokens) });
    return h("div.fs-verdict.fs-is-identical", {}, h("p.fs-verdict-line", {}, icon("check"), words), ...lines);
  }
  if (kind === "cannot") {
    return h("div.fs-verdict", {}, h("p.fs-verdict-line", {}, icon("info"), t("It cannot be made again.")), ...lines);
  }
  const words = t("Different from token {at} on: {stored} then, {fresh} now.", { at: number(at + 1), stored: nameOf(stored), fresh: nameOf(fresh) });
  return h(
    "div.fs-verdict.fs-is-different",
    {},
    h("p.fs-verdict-line", {}, icon("alert"), words),
    ...lines,
    h("div.fs-two", {}, distribution(t("Then"), stored), distribution(t("Now"), fresh)),
  );
}

function results(all) {
  if (all.length === 1) return [verdict(all[0])];
  const same = all.filter((each) => each.verdict === "identical").length;
  const head = h("p.fs-verdict-line", {}, t("{same} of {all} answers are identical.", { same: number(same), all: number(all.length) }));
  return [head, ...all.filter((each) => each.verdict !== "identical").map(verdict)];
}

registerPanelTab({
  id: "replay",
  label: t("Replay"),
  appliesTo: (message) => message.role === "assistant" && Boolean(message.figures?.new_tokens),
  mount(element, message) {
    const ended = new AbortController();
    let running = null;
    const outcome = h("div", { role: "status", "aria-live": "polite" });
    const progress = h("progress.fs-progress", { "aria-label": t("Progress"), hidden: true });
    const counted = h("span.fs-inside-help", { hidden: true });
    const one = h("button.fs-button.fs-primary", { type: "button" }, t("Run it again"));
    const all = h("button.fs-button", { type: "button" }, t("The whole chat"));
    const cancel = h("button.fs-button", { type: "button", hidden: true }, t("Cancel"));

    function busy(is) {
      for (const button of [one, all]) button.hidden = is;
      for (const part of [progress, counted, cancel]) part.hidden = !is;
    }

    function draw({ done, total }) {
      if (total) [progress.max, progress.value] = [total, done];
      else progress.removeAttribute("value");
      counted.textContent = t("{done} of {all} tokens", { done: number(done), all: number(total) });
    }

    async function start(path) {
      outcome.replaceChildren();
      busy(true);
      draw({ done: 0, total: 0 });
      cancel.focus();
      try {
        ({ replay: running } = await post(path, {}));
        let told = await get(`replays/${running}`, ended.signal);
        while (told.state === "running") {
          draw(told);
          await new Promise((resolve) => setTimeout(resolve, POLL_MS));
          told = await get(`replays/${running}`, ended.signal);
        }
        running = null;
        if (told.state === "done") outcome.replaceChildren(...results(told.results));
        else outcome.replaceChildren(h("p.fs-remark", {}, told.error ?? t("Cancelled.")));
      } catch (error) {
        if (ended.signal.aborted) return;
        outcome.replaceChildren(h("p.fs-refusal", {}, error.message));
      }
      const focused = document.activeElement === cancel || document.activeElement === document.body;
      busy(false);
      if (focused) one.focus();
    }

    const stop = () => running && post(`replays/${running}/cancel`).catch(() => {});
    one.addEventListener("click", () => start(`replay/${message.id}`));
    all.addEventListener("click", () => start(`replay/conversation/${openConversation()}`));
    cancel.addEventListener("click", stop);
    const inTerminal = h("p.fs-inside-help", {}, t("In the terminal:"), " ", h("code", {}, `fireside replay ${message.id}`));
    element.append(
      h("p.fs-inside-help", {}, t("The model writes this answer again from its record: prompt, settings and seed as they were. What is kept does not change.")),
      h("div.fs-inside-row", {}, one, all, cancel, progress, counted),
      outcome,
      inTerminal,
    );
    return () => {
      stop();
      ended.abort();
    };
  },
});
