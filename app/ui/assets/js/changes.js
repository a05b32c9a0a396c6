// What changed in conversations, by whatever tab or program: told by the server to one tab, and by it to the others.

const GRACE_MS = 2_000;

const revisions = new Map();

/** What is shown of a conversation is at least as new as this revision. */
export function noteRevision(id, revision = 0) {
  if (revision > (revisions.get(id) ?? 0)) revisions.set(id, revision);
}

/** Whether a conversation of the list is newer than what is shown of it. */
export const isOutdated = ({ id, revision }) => revision > (revisions.get(id) ?? 0);

/**
 * Call `callback(ids)` with the ids of conversations that changed, null where any may have.
 *
 * One connection for all tabs: browsers allow six to a server. Where tabs cannot agree on who has it (plain HTTP from
 * another computer), each has one while it is seen.
 */
export function followChanges(callback) {
  const channel = new BroadcastChannel("fireside.changes");
  channel.addEventListener("message", (event) => callback(event.data));
  const tell = (ids) => {
    callback(ids);
    channel.postMessage(ids);
  };
  if (navigator.locks) {
    navigator.locks.request("fireside.changes", () => new Promise(() => listen(tell)));
    return;
  }
  let end = null;
  const turn = () => {
    end?.();
    end = document.hidden ? null : listen(callback);
  };
  document.addEventListener("visibilitychange", () => {
    turn();
    if (!document.hidden) callback(null);
  });
  turn();
}

/** Listen until the function that is returned is called. */
function listen(tell) {
  let ended = false;
  let source = null;
  const connect = () => {
    if (ended) return;
    let before = false;
    source = new EventSource("/changes");
    // What happened while nobody listened is unknown.
    source.addEventListener("open", () => {
      if (before) tell(null);
      before = true;
    });
    source.addEventListener("changed", (event) => tell(JSON.parse(event.data).ids));
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(() => (connect(), tell(null)), GRACE_MS);
    });
  };
  connect();
  return () => {
    ended = true;
    source.close();
  };
}
