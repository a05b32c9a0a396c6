// The button beside Send: have the question answered in several ways.

import { h, icon } from "../dom.js";
import { t } from "../i18n.js";
import { openConversation } from "../transcript.js";
import { openCompare } from "./compare.js";

/** Put the button into the message box, and back where Gradio draws it anew. */
export function startAskCompare() {
  const label = t("Compare answers to this…");
  const button = h("button.fs-icon.fs-ask-compare", { type: "button", "aria-label": label, title: label, onclick: ask }, icon("columns"));
  const place = () => {
    const send = document.querySelector("#fs-composer .submit-button");
    if (send && button.nextElementSibling !== send) send.before(button);
  };
  new MutationObserver(place).observe(document.getElementById("fs-dock"), { childList: true, subtree: true });
  place();
}

function ask() {
  const box = document.querySelector("#fs-composer textarea");
  const text = box.value;
  openCompare({ conversation: openConversation() || null, text }, () => {
    box.value = "";
    box.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
