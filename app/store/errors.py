"""What can go wrong in the store, as one tree.

StoreError
├── HomeNotWritable   the data folder cannot be created or written
├── HomeLocked        another Fireside works in this data folder
├── DatabaseNewer     a newer Fireside wrote the database; it is left untouched
├── DatabaseDamaged   the file is not a database of Fireside's, or is damaged; it is left untouched
├── DiskRefused       the disk is full, read-only or failing; what was to be written is not
├── BackupFailed      a backup cannot be made, or is not one
└── NotFound          there is no such conversation, message or preset
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from app.errors import AppError


class StoreError(AppError):
    """Base of every error of the store; `str(error)` is one line for people."""


class HomeNotWritable(StoreError):
    """The data folder cannot be created or written."""

    def __init__(self, home: Path, reason: str) -> None:
        super().__init__(
            f"the data folder {home} cannot be written ({reason}): make it writable, or choose another with --home"
        )
        self.home = home


class HomeLocked(StoreError):
    """Another process works in the data folder. pid: its process id, None if it could not be read."""

    def __init__(self, home: Path, pid: int | None) -> None:
        owner = f"process {pid}" if pid else "another process"
        super().__init__(
            f"the data folder {home} is in use by {owner}: stop that one first, or choose another folder with --home"
        )
        self.home = home
        self.pid = pid


class DatabaseNewer(StoreError):
    """The database has migrations that this version does not know."""

    def __init__(self, path: Path, unknown: list[str]) -> None:
        super().__init__(
            f"{path} was written by a newer Fireside "
            f"(unknown migration {unknown[0]!r}, {len(unknown)} in all): "
            "update Fireside, or choose another folder with --home"
        )
        self.path = path


class DatabaseDamaged(StoreError):
    """The file is not a database of Fireside's, or a check found damage. reason: what was found."""

    def __init__(self, path: Path, reason: str) -> None:
        reason = " ".join(reason.split())
        super().__init__(
            f"{path} is damaged ({reason}): stop Fireside and start it again, and it saves what can be saved beside it"
        )
        self.path = path
        self.reason = reason


class DiskRefused(StoreError):
    """The disk of the database is full, read-only or failing. Nothing was written; reading goes on."""

    def __init__(self, path: Path, error: sqlite3.Error | OSError) -> None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            reason = f"the disk of {path.parent} is full ({_free(path)} free): make room there, then try again"
        elif code == sqlite3.SQLITE_READONLY:
            reason = f"{path} is read-only: make it writable, then try again"
        else:
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            reason = f"the disk of {path.parent} reports an error ({name}, {_free(path)} free): mend it, then try again"
        super().__init__(reason)
        self.path = path


class BackupFailed(StoreError):
    """A backup cannot be made, or a file that should be one is not."""


class NotFound(StoreError):
    """There is no record with this id."""

    def __init__(self, what: str, id: str) -> None:
        super().__init__(f"there is no {what} {id[:40]!r}: it may have been deleted, reload the page")
        self.id = id


def translated(error: sqlite3.Error, path: Path) -> StoreError:
    """What SQLite said of the database at `path`, as an error for people."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DatabaseDamaged(path, str(error))
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR):
        return DiskRefused(path, error)
    return StoreError(f"the database {path} cannot be used ({error}): check the free space and the permissions there")


def _free(path: Path) -> str:
    try:
        return f"{shutil.disk_usage(path.parent).free / 1e6:,.1f} MB"
    except OSError:
        return "unknown"
