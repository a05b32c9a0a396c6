// What the server tells of the inside of answers. What it refuses is thrown as an Error whose message is one line for
// people.

import { h } from "../dom.js";
import { t } from "../i18n.js";

async function asked(path, options) {
  let response;
  try {
    response = await fetch(`/inside/${path}`, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(t("Fireside is not answering."));
  }
  if (!response.ok) {
    const { error } = await response.json().catch(() => ({}));
    throw Object.assign(new Error(error ?? `${response.status} ${response.statusText}`), { status: response.status });
  }
  return response;
}

const posted = (data, signal) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(data),
  signal,
});

/** JSON from a path below /inside. */
export const get = async (path, signal) => (await asked(path, { signal })).json();

/** Send JSON to a path below /inside, and get JSON. */
export const post = async (path, data = {}, signal = undefined) => (await asked(path, posted(data, signal))).json();

const NO_MODEL = 503;
const AGAIN_MS = 700;

/** Fill an element with what a path tells, by show(told); says what is refused, and waits for the model where it is not
 *  there yet. Returns a function that ends it. */
export function fill(element, path, show) {
  const ended = new AbortController();
  const { signal } = ended;
  const ask = async () => {
    try {
      const told = await get(path, signal);
      if (!signal.aborted) show(told);
    } catch (error) {
      if (signal.aborted) return;
      element.replaceChildren(h("p.fs-refusal", { role: "alert" }, error.message));
      if (error.status === NO_MODEL) setTimeout(() => signal.aborted || ask(), AGAIN_MS);
    }
  };
  ask();
  return () => ended.abort();
}

/** Send JSON, and read the event stream that answers: yields [event, data]. Ends when `signal` aborts. */
export async function* stream(path, data, signal) {
  const reader = (await asked(path, posted(data, signal))).body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const blocks = buffer.split("\n\n");
    buffer = blocks.pop();
    for (const block of blocks) {
      const event = /^event: (.*)$/m.exec(block)?.[1];
      const line = /^data: (.*)$/m.exec(block)?.[1];
      if (event && line) yield [event, JSON.parse(line)];
    }
  }
}
