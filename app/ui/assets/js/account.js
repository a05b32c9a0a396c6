// Who is logged in, the way out, and what is told when the session has ended.

import { h, icon } from "./dom.js";
import { t } from "./i18n.js";

const KEPT = "fireside_unsent";
let banner = null;
let person = "";

/** The foot's line with the person's name and "Log out"; empty where there are no accounts. */
export function mountAccount() {
  const line = h("div.fs-account", { hidden: true });
  look(line);
  watchSession();
  return line;
}

async function look(line) {
  try {
    const response = await fetch("/account", { cache: "no-store" });
    if (!response.ok) return;
    const { name, admin } = await response.json();
    if (!name) return;
    person = name;
    const who = admin ? t("{name}, administrator", { name }) : name;
    const form = h("form", { method: "post", action: "/logout" }, h("button.fs-button.fs-small", { type: "submit" }, t("Log out")));
    line.replaceChildren(h("span.fs-account-name", { title: who }, name), form);
    line.hidden = false;
    giveBack();
  } catch {
    // The server is gone; the top bar tells of it.
  }
}

/** Everything the page asks for goes by `fetch`: the first answer that nobody is logged in ends the session here. */
function watchSession() {
  const plain = window.fetch;
  window.fetch = async (...args) => {
    const response = await plain(...args);
    if (response.status === 401 && new URL(response.url).origin === location.origin) showEnded();
    return response;
  };
}

function showEnded() {
  if (banner) return;
  const again = h("a.fs-button", { href: `/login?next=${encodeURIComponent(location.pathname + location.search)}` }, t("Log in"));
  again.addEventListener("click", keep);
  banner = h("div.fs-ended", { role: "alert" }, icon("alert"), h("span", {}, t("You are not logged in any more. What you have typed stays.")), again);
  document.body.append(banner);
}

const box = () => document.querySelector("#fs-composer textarea");

/** What is in the box waits in this tab, for the same person only. */
function keep() {
  const text = box()?.value ?? "";
  if (text && person) sessionStorage.setItem(KEPT, JSON.stringify({ person, text }));
}

function giveBack() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  sessionStorage.removeItem(KEPT);
  const field = box();
  if (!kept || kept.person !== person || !field || field.value) return;
  field.value = kept.text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
