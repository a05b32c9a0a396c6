// An engine elsewhere: where it is chosen, and what the page says while it answers.

import { h, icon } from "./dom.js";
import { number, t } from "./i18n.js";
import { addModelsSection, openModels } from "./models.js";
import { signal } from "./shelf.js";
import { lookAgain, whenStatus } from "./topbar.js";

let remote = "";
let own = "";
let wanted = false; // by whoever opens the panel

/** Offer the choice in the panel of models, and say on the page where answers come from and when they cannot. */
export function startElsewhere() {
  addModelsSection(section);
  const banner = h("div.fs-banner.fs-elsewhere-banner", { role: "alert", hidden: true });
  document.querySelector(".fs-topbar").append(banner);
  whenStatus((status) => {
    remote = status.remote;
    showPlace();
    showTrouble(banner, status);
  });
}

/** The line below the box: whoever writes must know where it goes. */
function showPlace() {
  const line = document.querySelector("#fs-hint");
  const place = line?.querySelector("p, span, .prose") ?? line?.lastElementChild ?? line;
  if (!place) return;
  own ||= place.textContent;
  const words = remote ? t("What you write is sent to {address}. Answers can be wrong.", { address: host(remote) }) : own;
  if (place.textContent !== words) place.textContent = words;
}

const host = (address) => address.replace(/^https?:\/\//, "").replace(/\/v1$/, "");

function showTrouble(banner, { status, message, may_change: mayChange }) {
  const trouble = remote && status === "failed" ? message : "";
  if (banner.dataset.said === trouble && !banner.hidden) return;
  banner.dataset.said = trouble;
  banner.hidden = !trouble;
  if (!trouble) return;
  const button = (label, onclick) => h("button.fs-button.fs-small", { type: "button", onclick }, label);
  const actions = [button(t("Try now"), () => signal("retry_model")), button(t("Choose another"), chooseAnother)];
  banner.replaceChildren(icon("alert"), h("span", {}, trouble), ...(mayChange ? actions : []));
}

function chooseAnother() {
  wanted = true;
  openModels();
}

async function tell(path, body = {}) {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const reply = await response.json();
    return response.ok ? reply : { error: reply.error ?? response.statusText };
  } catch {
    return { error: t("Fireside does not answer.") };
  }
}

/** The section of the panel; nothing for whoever may not change the engine. */
function section() {
  const focus = wanted;
  wanted = false;
  const element = h("section.fs-elsewhere", { hidden: true });
  fetch("/engine", { cache: "no-store" })
    .then((response) => response.json())
    .then((told) => {
      if (!told.may_change) return;
      element.replaceChildren(...form(told));
      element.hidden = false;
      if (!focus) return;
      element.querySelector("input").focus({ preventScroll: true });
      element.scrollIntoView({ block: "center" });
    })
    .catch(() => {});
  return element;
}

function form({ address, key: kept }) {
  const plain = { autocomplete: "off", spellcheck: "false", inputmode: "url" };
  const place = h("input.fs-input", { type: "text", maxlength: 2000, placeholder: "http://host:8000/v1", ...plain });
  const key = h("input.fs-input", { type: "password", maxlength: 1000, autocomplete: "off", placeholder: kept ? t("as it is kept") : t("if it asks for one") });
  place.value = address;
  const refusal = h("p.fs-problem", { role: "alert", hidden: true });
  const found = h("div.fs-elsewhere-found", { role: "status" });
  const look = h("button.fs-button", { type: "submit" }, t("Look"));
  const refuse = (words = "") => {
    refusal.textContent = words;
    refusal.hidden = !words;
  };
  const element = h(
    "form.fs-elsewhere-form",
    {},
    h("label", {}, t("Address"), place),
    h("label", {}, t("Key"), key),
    look,
  );
  const forget = () => found.replaceChildren();
  place.addEventListener("input", forget);
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!place.value.trim()) return place.focus();
    refuse();
    forget();
    look.disabled = true;
    look.textContent = t("Looking…");
    const told = await tell("/engine/look", { address: place.value, key: key.value });
    look.disabled = false;
    look.textContent = t("Look");
    // A disabled button has lost the focus.
    look.focus();
    if (told.error) return refuse(told.error);
    found.replaceChildren(...offer(told, key, refuse));
    found.querySelector("button").focus();
  });
  return [
    h("h4", {}, t("An engine elsewhere")),
    h("p.fs-hint", {}, t("A server that speaks OpenAI's API, such as vLLM, SGLang, llama.cpp's or another Fireside, writes the answers. What is asked is sent there; chats stay here.")),
    remote ? here(refuse) : null,
    element,
    refusal,
    found,
  ].filter(Boolean);
}

// llama.cpp names a model by where its file lies.
const shown = (name) => (name.endsWith(".gguf") ? name.split("/").pop() : name);

/** What was found at an address, and the button that has it answer. */
function offer({ address, kind, models, context, ignored }, key, refuse) {
  const choice = h("select.fs-input", { "aria-label": t("Model") }, ...models.map((name) => h("option", { value: name }, shown(name))));
  const use = h("button.fs-button.fs-primary", { type: "button" }, t("Use"));
  use.addEventListener("click", async () => {
    use.disabled = true;
    const told = await tell("/engine/use", { address, key: key.value, model: choice.value });
    use.disabled = false;
    refuse(told.error ?? "");
    if (!told.error) settled();
  });
  const facts = [kind, t("{count} tokens of context", { count: number(context) })].join(" · ");
  return [h("p", {}, facts), ...ignored.map((line) => h("p.fs-hint", {}, line)), h("div.fs-hub-row", {}, choice, use)];
}

/** The way back, while an engine elsewhere answers. */
function here(refuse) {
  const back = h("button.fs-button.fs-small", { type: "button" }, t("Back to this computer's engine"));
  back.addEventListener("click", async () => {
    back.disabled = true;
    const told = await tell("/engine/back");
    back.disabled = false;
    refuse(told.error ?? "");
    if (!told.error) settled();
  });
  return h("div.fs-models-now", {}, h("p", {}, t("Answers come from {address}.", { address: host(remote) })), h("div.fs-card-actions", {}, back));
}

function settled() {
  document.querySelector("dialog.fs-models")?.close();
  lookAgain();
}
