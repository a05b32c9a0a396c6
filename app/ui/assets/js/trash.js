// The trash: what was deleted, to be taken out again or erased for good.

import { receive, send } from "./bridge.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";

let dialog = null;

const ask = (event, data = {}) => send("sidebar", event, data);

/** Show what is in the trash. */
export const openTrash = () => ask("trash");

function show({ conversations, messages, days }) {
  const fresh = dialog === null;
  dialog ??= h("dialog.fs-dialog.fs-trash", { "aria-label": t("Trash") });
  const rows = [
    ...conversations.map((each) =>
      row(each.title, t("Chat"), [
        [t("Restore"), () => { ask("restore", { id: each.id }); openTrash(); }],
        [t("Erase"), (button) => sure(button, () => ask("erase", { id: each.id }))],
      ]),
    ),
    ...messages.map((each) =>
      row(each.text || t("Empty message"), t(each.count === 1 ? "Message of “{title}”" : "{count} messages of “{title}”", each), [
        [t("Restore"), () => ask("restore_messages", { event: each.event })],
      ]),
    ),
  ];
  const kept = days
    ? t("What was deleted is erased after {days} days.", { days })
    : t("What was deleted stays until you empty the trash.");
  dialog.replaceChildren(
    h("h3", {}, t("Trash")),
    h("p.fs-trash-note", {}, `${kept} ${t("Backups made before keep it until they are replaced.")}`),
    rows.length ? h("ul.fs-trash-list", {}, ...rows) : h("p.fs-none", {}, t("The trash is empty.")),
    h(
      "div.fs-dialog-row",
      {},
      rows.length > 0 && button(t("Empty trash"), (self) => sure(self, () => ask("erase")), ".fs-danger"),
      button(t("Close"), () => dialog.close()),
    ),
  );
  if (!fresh) return;
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("close", () => {
    dialog.remove();
    dialog = null;
    onClose();
  });
  document.body.append(dialog);
  dialog.showModal();
}

let onClose = () => {};
/** Call `callback` when the trash is closed: something may have come out of it. */
export function whenTrashClosed(callback) {
  onClose = callback;
}

const button = (label, action, classes = "") => {
  const self = h(`button.fs-button${classes}`, { type: "button", onclick: () => action(self) }, label);
  return self;
};

function row(title, kind, actions) {
  return h(
    "li",
    {},
    h("div", {}, h("strong", {}, title), h("span", {}, kind)),
    ...actions.map(([label, action]) => button(label, action)),
  );
}

/** What cannot be undone takes a second click. */
function sure(button, action) {
  if (button.dataset.asked) {
    action();
    return;
  }
  button.dataset.asked = "yes";
  button.textContent = t("Erase for good?");
  button.classList.add("fs-danger");
}

receive("sidebar", { trash: show });
