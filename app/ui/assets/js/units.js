// Sizes, speeds and names of models in words.

import { number, t } from "./i18n.js";

/** Bytes in words, in decimal units as disks and downloads are sold. */
export function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** How many parameters a model has: "135 million", "1.7 billion". */
export function parameters(count) {
  if (count >= 1e9) return t("{count} billion parameters", { count: (count / 1e9).toFixed(1) });
  if (count >= 1e6) return t("{count} million parameters", { count: number(Math.round(count / 1e6)) });
  return t("{count} parameters", { count: number(count) });
}

/** How far a download is: "40 MB of 93 MB, 3.1 MB/s, 17 s left". */
export function progressWords({ done_bytes: done, total_bytes: total, speed }) {
  if (!total) return t("Connecting…");
  const parts = [t("{done} of {total}", { done: size(done), total: size(total) })];
  if (done === total) return [...parts, t("checking")].join(", ");
  if (speed > 0) {
    const left = (total - done) / speed;
    parts.push(`${size(speed)}/s`);
    parts.push(left < 90 ? t("{count} s left", { count: Math.ceil(left) }) : t("{count} min left", { count: Math.ceil(left / 60) }));
  }
  return parts.join(", ");
}

/** A model's name as it is short and still tells which: the last part of a path or a reference. */
export const shortName = (name) => name.split(name.startsWith("hf:") ? /[/:]/ : "/").at(-1);
