// What the server tells of the inside of answers. What it refuses is thrown as an Error whose message is one line for
// people.

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
    throw new Error(error ?? `${response.status} ${response.statusText}`);
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
