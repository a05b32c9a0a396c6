// What can be done with a message: its versions, and the menu behind the three dots.

import { h, iconButton } from "./dom.js";
import { openMenu } from "./popup.js";

/** Arrows between the versions of a message; nothing where there is only one. */
export function versionSwitch(message, actions) {
  const all = message.versions ?? [];
  if (all.length < 2) return [];
  const at = all.indexOf(message.id);
  const step = (name, label, to) =>
    iconButton(name, label, () => actions.version(all[to]), "button.fs-icon", { disabled: !all[to] });
  return [
    step("left", "Previous version", at - 1),
    h("span.fs-version", { "aria-label": `Version ${at + 1} of ${all.length}` }, `${at + 1}/${all.length}`),
    step("right", "Next version", at + 1),
  ];
}

/** The button of a message's menu. */
export function moreButton(message, actions) {
  const { id, context } = message;
  const button = iconButton("more", "More", () => openMenu(button, entries), "button.fs-icon", {
    "aria-haspopup": "menu",
    "aria-expanded": "false",
  });
  const remember = (label, name, wanted) => ({
    label,
    icon: name,
    action: () => actions.context(id, context === wanted ? "" : wanted),
  });
  const entries = [
    { label: "Branch from here", icon: "branch", action: () => actions.branch(id) },
    remember(context === "pinned" ? "Stop keeping in memory" : "Keep in memory", "pin", "pinned"),
    remember(context === "excluded" ? "Take back into memory" : "Leave out of memory", "eyeOff", "excluded"),
    { label: "Delete only this", icon: "trash", danger: true, action: () => actions.remove(id, true) },
    { label: "Delete from here on", icon: "trash", danger: true, action: () => actions.remove(id, false) },
  ];
  return button;
}
