// Menus, popovers, notices and the dialog that asks for a name.

import { h, icon, iconButton } from "./dom.js";
import { t } from "./i18n.js";

let closeOpen = null;

/** Close the open menu or popover, if any; whether there was one. */
export function closePopup() {
  const close = closeOpen;
  closeOpen = null;
  if (close) close();
  return close !== null;
}

/** Put an element below its anchor or at a point, until something else is clicked; returns a function that puts it there
 *  anew, once it has another size. */
export function openPopup(anchor, element, { x, y } = {}) {
  closePopup();
  document.body.append(element);
  const place = () => {
    const at = anchor.getBoundingClientRect();
    const { width, height } = element.getBoundingClientRect();
    const left = Math.min(x ?? at.left, innerWidth - width - 8);
    const below = y ?? at.bottom + 4;
    const over = below + height + 8 > innerHeight;
    element.style.left = `${Math.max(8, left)}px`;
    element.style.top = `${over ? Math.max(8, (y ?? at.top - 4) - height) : below}px`;
  };
  place();
  anchor.setAttribute("aria-expanded", "true");
  const outside = (event) => {
    if (!element.contains(event.target) && !anchor.contains(event.target)) closePopup();
  };
  document.addEventListener("pointerdown", outside, true);
  closeOpen = () => {
    document.removeEventListener("pointerdown", outside, true);
    anchor.setAttribute("aria-expanded", "false");
    const focused = element.contains(document.activeElement);
    element.remove();
    if (focused) anchor.focus();
  };
  return place;
}

/** A menu below `anchor` or at a point; entries are {label, icon, action, danger, href, checked}, null is a line. With
 *  `checked`, true or false, an entry is one of a choice. */
export function openMenu(anchor, entries, point) {
  const line = () => h("div.fs-menu-line", { role: "separator" });
  const menu = h("div.fs-popup.fs-menu", { role: "menu" }, ...entries.map((entry) => (entry ? menuItem(entry) : line())));
  const items = [...menu.querySelectorAll(".fs-menu-item")];
  menu.addEventListener("keydown", (event) => {
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to !== undefined) {
      items.at(to % items.length).focus();
      event.preventDefault();
    } else if (event.key === "Escape" || event.key === "Tab") {
      closePopup();
      event.preventDefault();
      event.stopPropagation();
    }
  });
  openPopup(anchor, menu, point);
  (items.find((item) => item.ariaChecked === "true") ?? items[0]).focus();
}

function menuItem(entry) {
  const choose = (event) => {
    if (entry.action) event.preventDefault();
    closePopup();
    entry.action?.();
  };
  const choice = entry.checked !== undefined;
  const properties = { role: choice ? "menuitemradio" : "menuitem", tabindex: "-1", onclick: choose };
  if (choice) properties["aria-checked"] = String(entry.checked);
  if (entry.href) Object.assign(properties, { href: entry.href, download: "" });
  const tag = `${entry.href ? "a" : "button"}.fs-menu-item${entry.danger ? ".fs-danger" : ""}`;
  return h(tag, properties, icon(entry.icon), entry.label, entry.checked && icon("check"));
}

/** Where notices stand: just above the message box, however tall that is. */
function corner() {
  return document.querySelector(".fs-notices") ?? document.querySelector("#fs-dock").appendChild(h("div.fs-notices"));
}

/** A short notice; kind is "error" or "done"; with an action it offers a button; seconds: how long it stays. Returns a
 *  function that takes it away. */
export function notice(text, { kind = "done", action = null, label = "", seconds = 6 } = {}) {
  const box = h(`div.fs-notice.fs-${kind}`, { role: kind === "error" ? "alert" : "status" });
  let before = null;
  box.addEventListener("focusin", (event) => (before ??= event.relatedTarget));
  const close = () => {
    const focused = box.contains(document.activeElement);
    box.remove();
    if (focused) before?.focus();
  };
  box.append(icon(kind === "error" ? "alert" : "check"), h("span", {}, text));
  if (action) {
    const act = () => {
      close();
      action();
    };
    box.append(h("button.fs-notice-action", { type: "button", onclick: act }, label));
  }
  box.append(iconButton("close", t("Dismiss"), close));
  const all = corner();
  // The same words twice say nothing new.
  for (const other of all.children) if (other.textContent === box.textContent) other.remove();
  all.append(box);
  if (seconds === Infinity) return close;
  let timer = setTimeout(close, seconds * 1000);
  box.addEventListener("pointerenter", () => clearTimeout(timer));
  box.addEventListener("pointerleave", () => {
    timer = setTimeout(close, 2500);
  });
  return close;
}

/** Ask for a line of text in a dialog; the text, or null. With `empty`, nothing is an answer too. refuse(text): why it
 *  cannot be taken, "" if it can; that is said where it is typed. */
export function askName(title, action, options = {}) {
  const { label = t("Name"), value = "", maxlength = 80, empty = false, refuse = () => "" } = options;
  return new Promise((resolve) => {
    const input = h("input.fs-input", { type: "text", maxlength, "aria-label": label, placeholder: label });
    input.value = value;
    const cancel = h("button.fs-button", { type: "button", onclick: () => dialog.close() }, t("Cancel"));
    const refusal = h("p.fs-refusal", { role: "alert", hidden: true });
    const form = h(
      "form",
      { method: "dialog" },
      h("h3", {}, title),
      input,
      refusal,
      h("div.fs-dialog-row", {}, cancel, h("button.fs-button.fs-primary", { type: "submit" }, action)),
    );
    const dialog = h("dialog.fs-dialog", { "aria-label": title }, form);
    dialog.addEventListener("keydown", (event) => event.stopPropagation());
    dialog.addEventListener("close", () => {
      const name = input.value.trim();
      resolve(dialog.dataset.sent && (name || empty) ? name : null);
      dialog.remove();
    });
    input.addEventListener("input", () => (refusal.hidden = true));
    form.addEventListener("submit", (event) => {
      const why = refuse(input.value.trim());
      refusal.textContent = why;
      refusal.hidden = !why;
      if (why) event.preventDefault();
      else dialog.dataset.sent = "yes";
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
