// Save as and Delete below the preset.

import { send } from "./bridge.js";
import { h } from "./dom.js";
import { askName } from "./popup.js";

export function mountPresets(element) {
  const save = async () => {
    const name = await askName("Save these settings as", "Save");
    if (name) send("presets", "save_preset", { name });
  };
  element.append(
    h("button.fs-button", { type: "button", onclick: save }, "Save as…"),
    h("button.fs-button", { type: "button", onclick: () => send("presets", "delete_preset") }, "Delete"),
  );
}
