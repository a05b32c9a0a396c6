// The sheet of keyboard shortcuts.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const command = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";
const SHORTCUTS = [
  [
    t("Chats"),
    [
      [t("New chat"), [command, "Shift", "O"]],
      [t("Search chats"), [command, "K"]],
      [t("Rename the chosen chat"), ["F2"]],
      [t("Delete the chosen chat"), ["Del"]],
      [t("Next and previous chat"), ["↑", "↓"]],
    ],
  ],
  [
    t("The message box"),
    [
      [t("Go to the message box"), ["/"]],
      [t("Send"), ["Enter"]],
      [t("Break the line"), ["Shift", "Enter"]],
      [t("Edit the last message"), ["↑"]],
      [t("Send what was edited"), [command, "Enter"]],
      [t("Stop the answer"), ["Esc"]],
    ],
  ],
  [
    t("The page"),
    [
      [t("Show or hide the list"), [command, "Shift", "S"]],
      [t("Show or hide the settings"), [command, ","]],
      [t("Close what is open"), ["Esc"]],
      [t("This sheet"), [command, "/"]],
    ],
  ],
];

/** Show the sheet, or close it again. */
export function toggleShortcuts() {
  const open = document.querySelector(".fs-shortcuts");
  if (open) {
    open.close();
    return;
  }
  const keys = (all) => h("dd", {}, ...all.map((key) => h("kbd", {}, key)));
  const group = ([title, rows]) =>
    h("section", {}, h("h4", {}, title), h("dl", {}, ...rows.flatMap(([words, all]) => [h("dt", {}, words), keys(all)])));
  const title = t("Keyboard shortcuts");
  const close = h("button.fs-button", { type: "button", onclick: () => dialog.close() }, t("Close"));
  const dialog = h(
    "dialog.fs-dialog.fs-shortcuts",
    { "aria-label": title },
    h("h3", {}, title),
    h("div.fs-shortcut-groups", {}, ...SHORTCUTS.map(group)),
    h("div.fs-dialog-row", {}, close),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
