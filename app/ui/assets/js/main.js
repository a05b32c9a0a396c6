// Puts the parts of the page together.

import { connect, receive, send } from "./bridge.js";
import { followChanges, isOutdated } from "./changes.js";
import { conversationSettled, messageRefused, messageSent, startComposer, takeDraftAlong } from "./composer.js";
import { destined, open } from "./destination.js";
import { t } from "./i18n.js";
import { startElsewhere } from "./elsewhere.js";
import { startImport } from "./import.js";
import { startInside } from "./inside/index.js";
import { markActive, refresh, whenRow } from "./list.js";
import { openModels, whenSettingsWanted } from "./models.js";
import { startPanel, syncPanel } from "./panel.js";
import { notice } from "./popup.js";
import { mountPresets } from "./presets.js";
import { refuseSetting } from "./refusals.js";
import { offerSeed, startSeed } from "./seed.js";
import { whenModelsChange } from "./shelf.js";
import {
  addressed,
  closeOverlays,
  focusComposer,
  openAppearance,
  openDrawer,
  setAddress,
  startShell,
  toggleDrawer,
  toggleSidebar,
} from "./shell.js";
import { mountSidebar } from "./sidebar.js";
import { lookAgain, mountTopbar, whenBack } from "./topbar.js";
import {
  editLast,
  jump,
  lastSeed,
  messageOf,
  mountTranscript,
  openConversation,
  startConversation,
  sync,
  whenOpened,
  whenSent,
  whenSettled,
} from "./transcript.js";
import { leaveView, syncViews } from "./view.js";

// Long enough for what this tab itself has done to come back to it.
const SETTLE_MS = 300;
const PARTS = ["sidebar", "topbar", "transcript", "presets"];
let mounted = 0;
let opened = false;
let settled = null;

const go = (id) => {
  closeOverlays();
  leaveView();
  open(id);
};
const find = (id) => {
  closeOverlays();
  leaveView();
  jump(id);
};
// Back and forward: to another conversation, or only to or from a message's panel.
const visit = (id) => {
  syncViews();
  if (id === openConversation()) syncPanel();
  else go(id);
};
const create = () => {
  startConversation();
  go("");
  focusComposer();
};

const actions = { open: go, jump: find, create, close: closeOverlays, active: openConversation, removed };

let removing = "";
function removed(id) {
  removing = id;
  if (id === openConversation()) create();
}

function mount(part) {
  return (element) => {
    if (part === "sidebar") mountSidebar(element, actions);
    if (part === "topbar") mountTopbar(element, { toggleSidebar, openAppearance, toggleDrawer, openModels });
    if (part === "transcript") mountTranscript(element);
    if (part === "presets") mountPresets(element);
    if (++mounted < PARTS.length) return;
    startPanel(messageOf);
    startComposer(editLast);
    if (settled) conversationSettled(...settled);
    startShell({ create, open: visit });
    startInside();
    startElsewhere();
    startSeed();
    offerSeed(lastSeed());
    if (opened) syncPanel();
  };
}

whenOpened((id, title, moved) => {
  markActive(id);
  if (moved && !id) document.title = "Fireside";
  else if (title) document.title = `${title} · Fireside`;
  if (!opened && id !== addressed()) history.replaceState(null, "", id ? `/?c=${encodeURIComponent(id)}` : "/");
  opened = true;
  if (moved) setAddress(id);
  syncPanel();
});
let settling = null;
whenRow((row) => {
  document.title = row.title && !row.gone ? `${row.title} · Fireside` : "Fireside";
  clearTimeout(settling);
  settling = setTimeout(() => {
    if (row.id !== openConversation() || row.id !== destined()) return;
    if (row.gone) lose(row.id);
    else if (isOutdated(row)) (document.hasFocus() ? sync : open)(row.id);
  }, SETTLE_MS);
});

/** The open conversation was deleted, and not here. */
function lose(id) {
  if (id === removing) return;
  takeDraftAlong();
  startConversation();
  open("");
  notice(t("This chat was deleted in another tab. What you typed is still here."), {
    kind: "error",
    action: () => send("sidebar", "restore", { id }),
    label: t("Undo"),
    seconds: Infinity,
  });
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && opened) markActive(openConversation());
});
whenSettingsWanted(openDrawer);
whenModelsChange(lookAgain);
whenBack(() => {
  refresh(null);
  open(openConversation());
});
window.fireside.openConversation = openConversation;
startImport({ open: go, imported: () => refresh(null) });
followChanges(refresh);
whenSent(messageSent);
whenSettled((...latest) => {
  settled = latest;
  offerSeed(lastSeed());
  if (mounted === PARTS.length) conversationSettled(...latest);
});
receive("any", { notice: ({ text, kind }) => notice(text, { kind }) });
receive("transcript", {
  notice({ text, kind, setting }) {
    if (!setting || !refuseSetting(setting, text)) notice(text, { kind });
    if (kind === "error") messageRefused();
  },
});
connect(Object.fromEntries(PARTS.map((part) => [part, mount(part)])));
