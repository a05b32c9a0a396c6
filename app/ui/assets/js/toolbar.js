// What can be done with a message: its versions, and the menu behind the three dots.

import { h, iconButton } from "./dom.js";
import { openMenu } from "./popup.js";
import { presets } from "./presets.js";

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

/** Another answer for this once: with a preset's settings, or a little colder or warmer than the one there is. */
export function retryMenu(anchor, message, actions) {
  const now = message.figures?.settings.temperature ?? null;
  const warmth = (label, temperature) => ({
    label: `${label} (temperature ${temperature.toFixed(1)})`,
    icon: "sliders",
    action: () => actions.retry(message.id, { temperature }),
  });
  const entries = presets().map(({ id, name }) => ({
    label: `With ${name}`,
    icon: "retry",
    action: () => actions.retry(message.id, { preset: id }),
  }));
  if (now !== null && now > 0) entries.push(warmth("Colder", Math.max(0, Math.round((now - 0.3) * 10) / 10)));
  if (now !== null && now < 2) entries.push(warmth("Warmer", Math.min(2, Math.round((now + 0.3) * 10) / 10)));
  openMenu(anchor, entries);
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
  const again = {
    label: "Answer again with…",
    icon: "retry",
    action: () => retryMenu(button, message, actions),
  };
  const entries = [
    ...(message.role === "assistant" ? [again] : []),
    { label: "Branch from here", icon: "branch", action: () => actions.branch(id) },
    remember(context === "pinned" ? "Stop keeping in memory" : "Keep in memory", "pin", "pinned"),
    remember(context === "excluded" ? "Take back into memory" : "Leave out of memory", "eyeOff", "excluded"),
    { label: "Delete only this", icon: "trash", danger: true, action: () => actions.remove(id, true) },
    { label: "Delete from here on", icon: "trash", danger: true, action: () => actions.remove(id, false) },
  ];
  return button;
}
