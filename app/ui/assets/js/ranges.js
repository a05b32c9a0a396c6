// What is typed beside a slider and is none of its values is told there; the nearest one is taken.

import { h } from "./dom.js";
import { number, t } from "./i18n.js";

/** Watch the sliders in an element. */
export function watchRanges(element) {
  element.addEventListener("input", ({ target }) => {
    const control = target.closest?.(".fs-slider");
    if (!control) return;
    control.querySelector(".fs-refusal")?.remove();
    const range = control.querySelector("input[type=range]");
    if (target.type !== "number" || target.value === "" || !range) return;
    const [least, most, typed] = [Number(range.min), Number(range.max), Number(target.value)];
    if (typed >= least && typed <= most) return;
    const values = { least: number(least), most: number(most), taken: number(typed < least ? least : most) };
    control.append(h("p.fs-refusal", { role: "alert" }, t("This goes from {least} to {most}: {taken} is taken.", values)));
  });
}
