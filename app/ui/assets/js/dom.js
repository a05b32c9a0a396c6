// Small helpers to build elements. Text always becomes text nodes, never markup.

import { t } from "./i18n.js";

/** An element: `h("button.fs-icon", {onclick, "aria-label": "Copy"}, child, "text")`. */
export function h(selector, properties = {}, ...children) {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const PATHS = {
  sidebar: "M4 5.5h16v13H4zM9.5 5.5v13",
  pencil: "M5 19l1-4L16.5 4.5l3 3L9 18zM14.5 6.5l3 3",
  plus: "M12 5v14M5 12h14",
  search: "M10.8 17a6.2 6.2 0 1 0 0-12.4 6.2 6.2 0 0 0 0 12.4zM15.4 15.4L20 20",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  pin: "M9 4h6l-.8 5.5 2.8 3.5H7l2.8-3.5zM12 13v7",
  trash: "M5 7h14M9.5 7V4.5h5V7M7 7l.8 12.5h8.4L17 7M10.5 10.5v5.5M13.5 10.5v5.5",
  undo: "M8 5.5L4.5 9 8 12.5M4.5 9H14a5 5 0 0 1 0 10h-3",
  upload: "M12 15.5V4.5M7.5 9L12 4.5 16.5 9M5 19.5h14",
  filter: "M4 6.5h16M7 12h10M10 17.5h4",
  download: "M12 4v11M7.5 11L12 15.5 16.5 11M5 19.5h14",
  copy: "M9 9h10.5v10.5H9zM6.5 15H4.5V4.5H15v2",
  check: "M5 12.5l4.5 4.5L19 7.5",
  retry: "M5.2 13.5a7 7 0 1 0 1.6-6.2L4.5 9.5M4.5 4.8v4.7h4.7",
  left: "M14.5 6L8.5 12l6 6",
  right: "M9.5 6l6 6-6 6",
  keyboard: "M3.5 7h17v10.5h-17zM7 10.5h.01M10.3 10.5h.01M13.7 10.5h.01M17 10.5h.01M8 14.2h8",
  globe: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM4.3 12h15.4M12 4c2.6 2.4 3.6 5 3.6 8s-1 5.6-3.6 8c-2.6-2.4-3.6-5-3.6-8s1-5.6 3.6-8z",
  screen: "M4 5.5h16v10.5H4zM9 19.5h6M12 16v3.5",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6L7 7M17 17l1.4 1.4M18.4 5.6L17 7M7 17l-1.4 1.4",
  moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",
  sliders: "M4 8h9M17.5 8H20M4 16h2.5M11 16h9M15.25 10.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4zM8.75 18.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4z",
  chevron: "M6.5 9.5L12 15l5.5-5.5",
  down: "M12 5v13M6.5 13L12 18.5 17.5 13",
  alert: "M12 8.5v4.5M12 16.2h.01M12 4L21 19.5H3z",
  close: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  branch: "M7 5v10M7 15a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM17 4.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM17 9.5c0 4-6 3-9 6",
  eyeOff: "M4 4l16 16M9.5 6.2A9.5 9.5 0 0 1 12 6c5 0 8 4 9 6a14 14 0 0 1-2.6 3.4M6.2 8A14 14 0 0 0 3 12c1 2 4 6 9 6a9 9 0 0 0 3.5-.7",
  forward: "M5 6.5l6 5.5-6 5.5zM13 6.5l6 5.5-6 5.5z",
  archive: "M4 5h16v4H4zM5.5 9v10h13V9M10 13h4",
  tag: "M4 4.5h8l8 8-7.5 7.5-8.5-8.5zM8.2 8.2h.01",
  clip: "M19.5 11.5l-7.6 7.6a4.6 4.6 0 0 1-6.5-6.5l8-8a3 3 0 0 1 4.3 4.3l-7.8 7.8a1.5 1.5 0 0 1-2.1-2.1l7-7",
  file: "M6.5 3.5h7l4 4v13h-11zM13.5 3.5v4h4M9.5 12.5h5M9.5 16h5",
  clock: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 7.5V12l3 2",
  inside: "M4 6.5h6.5v11H4zM13.5 6.5H20V11h-6.5zM13.5 14H20v3.5h-6.5z",
  notebook: "M6.5 4H18v16H6.5zM6.5 8H4.5M6.5 12H4.5M6.5 16H4.5M10 8.5h4.5M10 12h4.5",
  columns: "M4 5h6.5v14H4zM13.5 5H20v14h-6.5z",
  info: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 11v5M12 8.2h.01",
};

/** An icon of our own set, hidden from screen readers. */
export function icon(name) {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "fs-svg");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(namespace, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon only; `label` is its accessible name and tooltip. */
export function iconButton(name, label, onclick, selector = "button.fs-icon", properties = {}) {
  return h(selector, { type: "button", "aria-label": label, title: label, onclick, ...properties }, icon(name));
}

/** Copy text; also where the page has no clipboard permission, such as plain HTTP on another machine. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea.fs-offscreen");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** Copy, and show on the button that it was done. */
export async function copyWith(button, text) {
  await copyText(text);
  const before = [...button.childNodes];
  button.replaceChildren(icon("check"), ...(button.classList.contains("fs-icon") ? [] : [t("Copied")]));
  setTimeout(() => button.replaceChildren(...before), 1400);
}
