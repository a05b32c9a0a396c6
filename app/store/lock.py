"""One process per data folder: a lock of the operating system's, and a file that names its owner."""

from __future__ import annotations

import os
import time
from pathlib import Path

from filelock import FileLock, Timeout

from app.store.errors import HomeLocked, HomeNotWritable

NAME = "fireside.lock"
OWNER = "fireside.pid"
WITH_WAL = "wal"
DOUBT = "doubt"
PID_WAIT_SECONDS = 0.2


class HomeLock:
    """Holds the data folder for this process until `release`.

    The lock ends with the process however that ends (flock, or LockFileEx on Windows), so the files of a killed
    process are simply taken over. The owner's PID is in a file of its own, because Windows lets nobody read a locked
    one; that file is removed at a clean end, and so tells how the owner before ended:
    clean: well. wal_expected: killed while the database's write-ahead log was in use, so the log has to be there.
    doubtful: it met damage in the database.

    Raises HomeLocked, or HomeNotWritable where the folder or its file system does not allow a lock.
    """

    def __init__(self, home: Path) -> None:
        self._owner = home / OWNER
        # A soft lock, as some file systems would get in place of a real one, outlives its owner.
        self._lock = FileLock(home / NAME, timeout=0, thread_local=False, fallback_to_soft=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise HomeLocked(home, self._wait_for_pid()) from None
        except (OSError, RuntimeError) as error:
            raise HomeNotWritable(home, f"no lock: {getattr(error, 'strerror', None) or error}") from None
        try:
            words = _words(self._owner)
            # What the owner before left holds until it is dealt with, however this one ends.
            self._notes = {WITH_WAL, DOUBT}.intersection(words)
            self._write()
        except OSError as error:
            self._lock.release()
            raise HomeNotWritable(home, error.strerror or str(error)) from None
        self.clean = not words
        self.wal_expected = WITH_WAL in words
        self.doubtful = DOUBT in words

    def use_wal(self, in_use: bool) -> None:
        """Remember, for whoever comes after a kill, whether the write-ahead log has to be there."""
        self._note(WITH_WAL, in_use)

    def doubt(self, doubtful: bool = True) -> None:
        """Remember, for whoever comes next, that damage was met in the database, or that it was dealt with."""
        self._note(DOUBT, doubtful)

    def release(self) -> None:
        """Give the folder free; calling it again does nothing."""
        if self._lock.is_locked:
            try:
                if not self._notes:
                    self._owner.unlink(missing_ok=True)
            except OSError:  # a read-only disk: the PID of a process that is gone harms nobody
                pass
            finally:
                # The lock's file stays: removing it would let a third process lock a new one beside a second's.
                self._lock.release()

    def _note(self, word: str, holds: bool) -> None:
        before = set(self._notes)
        (self._notes.add if holds else self._notes.discard)(word)
        if self._notes != before:
            try:
                self._write()
            except OSError:  # a full disk: what is noted is only used to tell more, never to keep more
                return

    def _write(self) -> None:
        self._owner.write_text(" ".join((str(os.getpid()), *sorted(self._notes))), encoding="ascii")

    def _wait_for_pid(self) -> int | None:
        # The owner writes its PID just after it got the lock.
        deadline = time.monotonic() + PID_WAIT_SECONDS
        while True:
            words = _words(self._owner)
            if words and words[0].isdecimal():
                return int(words[0])
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)


def _words(path: Path) -> list[str]:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return file.read(64).split()
    except OSError:
        return []
