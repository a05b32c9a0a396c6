"""Backups: whole copies of the database, each opened and checked before it counts."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.store.check import connect_readonly, count_messages, examine
from app.store.errors import BackupFailed, DatabaseDamaged, DiskRefused, StoreError

FOLDER = "backups"
KEPT = 7
INTERVAL = timedelta(days=1)
POLL_SECONDS = 3600.0
STOP_SECONDS = 1.0
STEP_PAGES = 4096
TIME_FORMAT = "%Y%m%dT%H%M%S.%fZ"
NAME = re.compile(r"fireside-(\d{8}T\d{6}\.\d{6}Z)\.db")
PART = ".part"

log = logging.getLogger(__name__)


class Backups:
    """The backups of one database, in the folder `backups` beside it; the newest KEPT stay."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.folder = database.parent / FOLDER

    def list(self) -> list[Path]:
        """The newest first."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted((path for path in found if NAME.fullmatch(path.name)), reverse=True)

    def make(self, cancelled: Callable[[], bool] = lambda: False) -> Path:
        """Make one, check it, and remove those beyond the newest KEPT; safe while the database is being written.

        cancelled: asked from time to time whether to give up. Raises BackupFailed and DiskRefused; what was there
        before is then still there.
        """
        self._make_folder()
        path = self.folder / f"fireside-{datetime.now(UTC).strftime(TIME_FORMAT)}.db"
        for left in self.folder.glob(f"*{PART}*"):
            left.unlink()
        copy_database(self._database, path, cancelled)
        for old in self.list()[KEPT:]:
            old.unlink(missing_ok=True)
        return path

    def is_due(self) -> bool:
        """Whether the newest is older than a day."""
        newest = next(iter(self.list()), None)
        return newest is None or not timedelta(0) <= datetime.now(UTC) - time_of(newest) < INTERVAL

    def newest_sound(self) -> tuple[Path, int] | None:
        """The newest that passes its check, and how many messages it has; None if there is none."""
        for path in self.list():
            try:
                examine(path)
                return path, count_messages(path)
            except (StoreError, sqlite3.Error) as error:
                log.warning("the backup %s is passed over: %s", path, error)
        return None

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise BackupFailed(f"{self.folder} cannot be made ({error.strerror}): make its place writable") from None


class DailyBackup(threading.Thread):
    """Makes a backup whenever one is due, from its start until `stop`; a failure is told once to `on_failure`."""

    def __init__(self, backups: Backups, on_failure: Callable[[str], None]) -> None:
        super().__init__(name="daily-backup", daemon=True)
        self._backups = backups
        self._on_failure = on_failure
        self._stopped = threading.Event()

    def run(self) -> None:
        told = False
        while not self._stopped.is_set():
            try:
                if self._backups.is_due():
                    self._backups.make(self._stopped.is_set)
                told = False
            except (StoreError, OSError) as error:
                log.error("no backup: %s", error)
                if not told and not self._stopped.is_set():
                    self._on_failure(f"Today's backup could not be made: {error}")
                told = True
            self._stopped.wait(POLL_SECONDS)

    def stop(self) -> None:
        """Make no more; one that is being made is given up and leaves nothing."""
        self._stopped.set()
        self.join(STOP_SECONDS)


def copy_database(source: Path, target: Path, cancelled: Callable[[], bool] = lambda: False) -> int:
    """Copy a database as it is at this moment into one file, and check the copy; how many messages it has.

    Nothing is at `target` before the copy is whole. A server may be writing the source meanwhile. Raises BackupFailed,
    DiskRefused, and what `examine` raises of the source.
    """
    part = target.with_name(target.name + PART)
    try:
        _refuse_without_room(source, target)
        part.unlink(missing_ok=True)
        with closing(connect_readonly(source)) as old, closing(sqlite3.connect(part)) as new:
            # In one transaction, so that the copy and the count are of the same moment.
            old.execute("BEGIN")
            expected = old.execute("SELECT count(*) FROM messages").fetchone()[0]
            old.backup(new, pages=STEP_PAGES, progress=lambda *_: _go_on(target, cancelled))
            # The source's is a write-ahead log: a copy must be one file.
            new.execute("PRAGMA journal_mode = DELETE")
        examine(part)
        if (found := count_messages(part)) != expected:
            raise BackupFailed(f"the copy {target} has {found:,} messages instead of {expected:,}: make another")
        flush(part)
        part.replace(target)
        flush(target.parent)
        return found
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where SQLite cites what is damaged
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if isinstance(error, UnicodeDecodeError) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise DatabaseDamaged(source, str(error)) from None
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
            raise DiskRefused(target, error) from None
        raise BackupFailed(f"{source} cannot be copied to {target} ({error}): choose another place") from None
    except OSError as error:
        raise BackupFailed(f"{target} cannot be written ({error.strerror or error}): choose another place") from None
    finally:
        part.unlink(missing_ok=True)


def time_of(backup: Path) -> datetime:
    """When a backup of the folder was made, from its name."""
    match = NAME.fullmatch(backup.name)
    assert match, backup
    return datetime.strptime(match[1], TIME_FORMAT).replace(tzinfo=UTC)


def flush(path: Path) -> None:
    """Have a file or the entries of a folder on the disk before going on."""
    if path.is_dir() and os.name == "nt":  # Windows has no such call for folders
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems flush no folders.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _go_on(target: Path, cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise BackupFailed(f"{target} was given up, because Fireside ends")


def _refuse_without_room(source: Path, target: Path) -> None:
    wal = source.with_name(source.name + "-wal")
    needed = source.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise BackupFailed(
            f"a copy needs {needed / 1e6:,.1f} MB, but {target.parent} has {free / 1e6:,.1f} MB free: make room there"
        )
