// A value that a setting cannot have is told at its control, for as long as it is there.

import { h } from "./dom.js";
import { number, t } from "./i18n.js";

const drawer = () => document.getElementById("fs-drawer");
// Notices by the control, with the values that it may have meanwhile.
const told = new Map();

/** Say of a slider at once what it makes of what is typed beside it. */
export function watchSettings() {
  drawer().addEventListener("input", ({ target }) => {
    const control = target.closest?.("[id^=fs-set-]");
    if (!control) return;
    forget(control);
    const range = control.querySelector("input[type=range]");
    if (target.type !== "number" || target.value === "" || !range) return;
    const [least, most, typed] = [Number(range.min), Number(range.max), Number(target.value)];
    if (typed >= least && typed <= most) return;
    const taken = typed < least ? least : most;
    const values = { least: number(least), most: number(most), taken: number(taken) };
    tell(control, t("This goes from {least} to {most}: {taken} is taken.", values), [target.value, String(taken)]);
  });
}

/** Say why the server refused a setting, where its control is seen; whether it is. */
export function refuseSetting(name, words) {
  const control = document.getElementById(`fs-set-${name}`);
  if (!control?.checkVisibility({ visibilityProperty: true })) return false;
  tell(control, words, [field(control).value]);
  return true;
}

/** Take away what is said of values that are not there any more. */
export function forgetOld() {
  for (const [control, { holds }] of told) if (!holds.includes(field(control)?.value)) forget(control);
}

const field = (control) => control.querySelector("input[type=number]") ?? control.querySelector("textarea, input");

function tell(control, words, holds) {
  forget(control);
  const notice = h("p.fs-refusal", { role: "alert" }, words);
  control.append(notice);
  told.set(control, { notice, holds });
}

function forget(control) {
  told.get(control)?.notice.remove();
  told.delete(control);
}
