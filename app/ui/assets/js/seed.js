// The seed of the last answer, to be kept: the next answer to the same words is the same then.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const RANDOM = "-1";

const field = () => document.querySelector("#fs-set-seed textarea, #fs-set-seed input");
let last = null;
let button;

/** Put the button at the field, and back where Gradio draws it anew. */
export function startSeed() {
  button = h("button.fs-link.fs-keep-seed", { type: "button", hidden: true, onclick: keep });
  const place = () => {
    const control = document.getElementById("fs-set-seed");
    if (control && button.parentElement !== control) control.append(button);
  };
  const drawer = document.getElementById("fs-drawer");
  new MutationObserver(place).observe(drawer, { childList: true, subtree: true });
  drawer.addEventListener("input", show);
  place();
}

/** The seed of the last answer of the open conversation, null where there is none. */
export function offerSeed(seed) {
  last = seed;
  if (button) show();
}

function show() {
  const kept = field()?.value.trim() === last;
  button.hidden = last === null;
  button.textContent = kept ? t("Take a new one each time") : t("Keep the last: {seed}", { seed: last });
}

function keep() {
  const box = field();
  box.value = box.value.trim() === last ? RANDOM : last;
  box.dispatchEvent(new Event("input", { bubbles: true }));
  show();
}
