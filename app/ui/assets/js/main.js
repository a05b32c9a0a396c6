// Puts the parts of the page together.

import { connect, receive } from "./bridge.js";
import { startImport } from "./import.js";
import { startPanel, syncPanel } from "./panel.js";
import { notice } from "./popup.js";
import { modelReady, mountPresets } from "./presets.js";
import {
  addressed,
  closeOverlays,
  focusComposer,
  openAppearance,
  setAddress,
  startShell,
  toggleDrawer,
  toggleSidebar,
} from "./shell.js";
import { markActive, mountSidebar, refreshList } from "./sidebar.js";
import { mountTopbar, whenBack, whenReady } from "./topbar.js";
import {
  jump,
  messageOf,
  mountTranscript,
  open,
  openConversation,
  startConversation,
  whenOpened,
} from "./transcript.js";

const PARTS = ["sidebar", "topbar", "transcript", "presets"];
let mounted = 0;
let opened = false;

const go = (id) => {
  closeOverlays();
  open(id);
};
const find = (id) => {
  closeOverlays();
  jump(id);
};
// Back and forward: to another conversation, or only to or from a message's panel.
const visit = (id) => (id === openConversation() ? syncPanel() : go(id));
const create = () => {
  startConversation();
  go("");
  focusComposer();
};

function mount(part) {
  return (element) => {
    if (part === "sidebar") mountSidebar(element, { open: go, jump: find, create, close: closeOverlays });
    if (part === "topbar") mountTopbar(element, { toggleSidebar, openAppearance, toggleDrawer });
    if (part === "transcript") mountTranscript(element);
    if (part === "presets") mountPresets(element);
    if (++mounted < PARTS.length) return;
    startPanel(messageOf);
    startShell({ create, open: visit });
    if (opened) syncPanel();
  };
}

whenOpened((id, title, moved) => {
  markActive(id);
  if (!opened && id !== addressed()) history.replaceState(null, "", id ? `/?c=${encodeURIComponent(id)}` : "/");
  opened = true;
  if (moved) setAddress(id);
  syncPanel();
});
// Another tab may have changed things meanwhile.
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !opened) return;
  refreshList();
  if (openConversation()) open(openConversation());
});
whenReady(modelReady);
whenBack(() => open(openConversation()));
startImport({ open: go, imported: refreshList });
window.fireside.openConversation = openConversation;
receive("any", { notice: ({ text, kind }) => notice(text, { kind }) });
connect(Object.fromEntries(PARTS.map((part) => [part, mount(part)])));
