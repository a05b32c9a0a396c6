// What can be done with a message: its versions, and the menu behind the three dots.

import { h, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { openMenu } from "./popup.js";
import { presets } from "./presets.js";
import { openCompare } from "./inside/compare.js";

/** Arrows between the versions of a message; nothing where there is only one. */
export function versionSwitch(message, actions) {
  const all = message.versions ?? [];
  if (all.length < 2) return [];
  const at = all.indexOf(message.id);
  const step = (name, label, to) =>
    iconButton(name, label, () => actions.version(all[to]), "button.fs-icon", { disabled: !all[to] });
  return [
    step("left", t("Previous version"), at - 1),
    h("span.fs-version", { "aria-label": t("Version {at} of {count}", { at: at + 1, count: all.length }) }, `${at + 1}/${all.length}`),
    step("right", t("Next version"), at + 1),
  ];
}

/** Another answer for this once: with a preset's settings, or a little colder or warmer than the one there is. */
export function retryMenu(anchor, message, actions) {
  const now = message.figures?.settings.temperature ?? null;
  const warmth = (label, temperature) => ({
    label: `${label} (${t("temperature {value}", { value: temperature.toFixed(1) })})`,
    icon: "sliders",
    action: () => actions.retry(message.id, { temperature }),
  });
  const entries = presets().map(({ id, name }) => ({
    label: t("With {name}", { name }),
    icon: "retry",
    action: () => actions.retry(message.id, { preset: id }),
  }));
  if (now !== null && now > 0) entries.push(warmth(t("Colder"), Math.max(0, Math.round((now - 0.3) * 10) / 10)));
  if (now !== null && now < 2) entries.push(warmth(t("Warmer"), Math.min(2, Math.round((now + 0.3) * 10) / 10)));
  openMenu(anchor, entries);
}

/** The button of a message's menu. */
export function moreButton(message, actions) {
  const { id, context } = message;
  const button = iconButton("more", t("More"), () => openMenu(button, entries), "button.fs-icon", {
    "aria-haspopup": "menu",
    "aria-expanded": "false",
  });
  const remember = (label, name, wanted) => ({
    label,
    icon: name,
    action: () => actions.context(id, context === wanted ? "" : wanted),
  });
  const again = {
    label: t("Answer again with…"),
    icon: "retry",
    action: () => retryMenu(button, message, actions),
  };
  const entries = [
    ...(message.role === "assistant" ? [again] : []),
    { label: t("Compare…"), icon: "columns", action: () => openCompare({ message: id }) },
    { label: t("Branch from here"), icon: "branch", action: () => actions.branch(id) },
    remember(context === "pinned" ? t("Stop keeping in memory") : t("Keep in memory"), "pin", "pinned"),
    remember(context === "excluded" ? t("Take back into memory") : t("Leave out of memory"), "eyeOff", "excluded"),
    { label: t("Delete only this"), icon: "trash", danger: true, action: () => actions.remove(id, true) },
    { label: t("Delete from here on"), icon: "trash", danger: true, action: () => actions.remove(id, false) },
  ];
  return button;
}
