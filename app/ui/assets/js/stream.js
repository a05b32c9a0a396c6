// The text of an answer in the making, as server-sent events.

/** Follow an answer; callbacks: text(piece, phase, stats, warning, thoughts), done(message), lost(), gone(). Returns a function that ends it. */
export function follow(id, { text, done, lost, gone }) {
  const source = new EventSource(`/stream/${encodeURIComponent(id)}?from=0`);
  source.addEventListener("text", (event) => {
    const data = JSON.parse(event.data);
    text(data.text, data.phase, data.stats, data.warning, data.reasoning);
  });
  source.addEventListener("done", (event) => {
    source.close();
    done(JSON.parse(event.data));
  });
  source.addEventListener("error", () => {
    // The browser tries again by itself after a cut connection, but not after an answer other than 200.
    if (source.readyState === EventSource.CLOSED) gone();
    else lost();
  });
  return () => source.close();
}
