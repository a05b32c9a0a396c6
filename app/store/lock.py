"""One process per data folder: an advisory lock on a file that names its owner."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from app.store.errors import HomeLocked, HomeNotWritable

NAME = "fireside.lock"
PID_WAIT_SECONDS = 0.2


class HomeLock:
    """Holds the data folder for this process until `release`.

    The lock is the kernel's (flock), so it ends with the process however that ends; a file left behind by a
    killed process is simply taken over. Raises HomeLocked, or HomeNotWritable where the folder or its file
    system does not allow a lock.
    """

    def __init__(self, home: Path) -> None:
        try:
            self._file = (home / NAME).open("a+", encoding="ascii", errors="replace")
        except OSError as error:
            raise HomeNotWritable(home, error.strerror or str(error)) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._write(str(os.getpid()))
        except OSError as error:
            pid = self._owner() if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
            self._file.close()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise HomeLocked(home, pid) from None
            raise HomeNotWritable(home, f"no lock: {error.strerror}") from None

    def release(self) -> None:
        """Give the folder free; calling it again does nothing."""
        if not self._file.closed:
            # The file stays: removing it would let a third process lock a new file beside a second one's old
            # file.
            try:
                self._write("")
            finally:
                self._file.close()

    def _write(self, text: str) -> None:
        self._file.truncate(0)
        self._file.write(text)
        self._file.flush()

    def _owner(self) -> int | None:
        # The owner writes its PID just after it got the lock.
        deadline = time.monotonic() + PID_WAIT_SECONDS
        while True:
            self._file.seek(0)
            text = self._file.read(20).strip()
            if text.isdecimal():
                return int(text)
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)
