"""Saves answers while they grow, so that a crash costs at most a second of one."""

from __future__ import annotations

import logging
import threading

from app.live import LiveRun
from app.store import NotFound, Store, StoreError
from app.store.messages import Growth

SAVE_SECONDS = 1.0
SAVE_TOKENS = 32
NOT_SAVED = "The answer is not saved yet"

log = logging.getLogger(__name__)


class Saver:
    """Writes all growing answers in one transaction: every second, and when one has 32 tokens unsaved.

    The thread that takes tokens from the engine thus never waits for the disk. A run whose message or
    conversation has been deleted is cancelled. What cannot be written, for want of space say, stays in memory and
    is tried again every second; `error` of its run says so meanwhile.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._growing: dict[str, LiveRun] = {}
        self._hurry = False
        self._refused = False
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="saver", daemon=True)
        self._thread.start()

    def watch(self, live: LiveRun) -> None:
        """Save this answer from time to time, until `finish`."""
        with self._changed:
            self._growing[live.message_id] = live
            self._changed.notify_all()

    def hurry(self) -> None:
        """An answer has 32 tokens that are not saved: save now."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()

    def finish(self, live: LiveRun, final: Growth) -> str | None:
        """Save an answer as it will stay, however long the disk refuses it; one line if `close` came first."""
        with self._changed:
            self._growing.pop(live.message_id, None)
        while True:
            closed = self._closed
            try:
                self._write(final)
            except StoreError as error:
                log.error("answer %s is not saved: %s", final.message_id, error)
                live.error = f"{NOT_SAVED}: {error}"
            else:
                return None
            if closed:
                return live.error
            with self._changed:
                self._changed.wait_for(lambda: self._closed, SAVE_SECONDS)

    def close(self) -> None:
        """Save once more and end; calling it again does nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _loop(self) -> None:
        closed = False
        while not closed:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._growing)
                # A disk that refuses is not asked again for every token.
                self._changed.wait_for(lambda: self._closed or (self._hurry and not self._refused), SAVE_SECONDS)
                self._hurry = False
                closed = self._closed
                growing = list(self._growing.values())
            # The thread must outlive whatever happens to one save.
            try:
                self._save(growing)
                self._refused = False
            except StoreError as error:
                if not self._refused:
                    log.error("growing answers are not saved: %s", error)
                self._refused = True
                for live in growing:
                    live.error = f"{NOT_SAVED}: {error}"
            except Exception:
                log.exception("growing answers are not saved")

    def _save(self, growing: list[LiveRun]) -> None:
        if not growing:
            return
        tokens, answers = {}, []
        for live in growing:
            count, columns = live.unsaved() or (0, {})
            tokens[live.message_id] = count
            answers.append(Growth(live.message_id, columns))
        wanted = self._store.messages.grow(answers)
        for live in growing:
            live.saved(tokens[live.message_id])
            if not live.done:
                live.error = None
            if live.message_id not in wanted:
                live.cancel()

    def _write(self, final: Growth) -> None:
        try:
            self._store.messages.update(final.message_id, **final.columns)
        except NotFound:
            log.info("message %s was deleted while it was being answered", final.message_id)
