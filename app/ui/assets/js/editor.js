// Writing a message anew, in its place.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const PATIENCE_MS = 2_000;

/** Put a text box in place of `body` until it is sent or given up; `save(text)` gets what was written. */
export function editInPlace(body, text, action, save) {
  const row = body.closest(".fs-turn");
  if (row.querySelector(".fs-editor")) return;
  const area = h("textarea.fs-edit", { "aria-label": t("Edit message"), rows: "1" });
  area.value = text;
  const before = document.activeElement;
  const end = () => {
    const focused = editor.contains(document.activeElement);
    editor.remove();
    row.classList.remove("fs-editing");
    if (focused) before.focus();
  };
  // The box stays until the message that was made of it takes its place: what is refused must not be lost.
  const send = () => {
    if (area.value === text) end();
    else if (!go.disabled) {
      go.disabled = true;
      setTimeout(() => (go.disabled = false), PATIENCE_MS);
      save(area.value);
    }
  };
  const go = h("button.fs-button.fs-primary", { type: "button", onclick: send, title: "Ctrl+Enter" }, action);
  const editor = h(
    "div.fs-editor",
    {},
    area,
    h(
      "div.fs-dialog-row",
      {},
      h("span.fs-editor-hint", {}, t("The old version is kept")),
      h("button.fs-button", { type: "button", onclick: end }, t("Cancel")),
      go,
    ),
  );
  const grow = () => {
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight * 0.6)}px`;
  };
  area.addEventListener("input", grow);
  area.addEventListener("keydown", (event) => {
    // Escape here is for the box, not for the answer that may be under way.
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === "Escape") end();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
  });
  row.classList.add("fs-editing");
  body.after(editor);
  grow();
  area.focus();
}
