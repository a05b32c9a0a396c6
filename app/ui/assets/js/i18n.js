// The page's language. The English text is the key; each part of the page has its Chinese in zh/<part>.js.

import { CHINESE as accounts } from "./zh/accounts.js";
import { CHINESE as common } from "./zh/common.js";
import { CHINESE as composer } from "./zh/composer.js";
import { CHINESE as drawer } from "./zh/drawer.js";
import { CHINESE as elsewhere } from "./zh/elsewhere.js";
import { CHINESE as inside } from "./zh/inside.js";
import { CHINESE as models } from "./zh/models.js";
import { CHINESE as shell } from "./zh/shell.js";
import { CHINESE as sidebar } from "./zh/sidebar.js";
import { CHINESE as transcript } from "./zh/transcript.js";
import { CHINESE as transfer } from "./zh/transfer.js";

/** "en" or "zh-CN": as the server has written it into the page, by the user's choice or by the browser's languages. */
export const language = document.documentElement.dataset.language;

const chinese = { ...accounts, ...common, ...composer, ...drawer, ...elsewhere, ...inside, ...models, ...shell, ...sidebar, ...transcript, ...transfer };
const dictionary = language === "zh-CN" ? chinese : null;

/** A text of ours: `t("{count} messages", {count})`. The first argument is written out, so that tests can find it. */
export function t(text, values = {}) {
  const template = dictionary?.[text] ?? text;
  return template.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** A number as people of the language write it. */
export const number = (value) => value.toLocaleString(language);

const COOKIE = "fireside_language";

/** The language the user has chosen; "" where the browser's languages decide. */
export const chosenLanguage = () => new RegExp(`(?:^|; )${COOKIE}=([\\w-]+)`).exec(document.cookie)?.[1] ?? "";

/** Have the page in a language, "" for the browser's; it is loaded again. */
export function chooseLanguage(wanted) {
  const age = wanted ? 31_536_000 : 0;
  document.cookie = `${COOKIE}=${wanted}; path=/; max-age=${age}; samesite=lax`;
  location.reload();
}
