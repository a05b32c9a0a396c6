"""What can go wrong in the store, as one tree.

StoreError
├── HomeNotWritable   the data folder cannot be created or written
├── HomeLocked        another Fireside works in this data folder
├── DatabaseNewer     a newer Fireside wrote the database; it is left untouched
├── DatabaseDamaged   the file is not a database, or is damaged; it is left untouched
└── NotFound          there is no such conversation, message or preset
"""

from __future__ import annotations

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
    """The file is not an SQLite database, or its check found damage."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} cannot be used ({' '.join(reason.split())}); it was left as it is: "
            "move it away to start afresh, or put a backup in its place"
        )
        self.path = path


class NotFound(StoreError):
    """There is no record with this id."""

    def __init__(self, what: str, id: str) -> None:
        super().__init__(f"there is no {what} {id[:40]!r}: it may have been deleted, reload the page")
        self.id = id
