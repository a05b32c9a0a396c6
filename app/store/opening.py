"""From whatever lies in the data folder to a database that can be opened, and a word on what was wrong.

A database is replaced in two steps that survive a crash between them: the new one lies complete at `fireside.db.new`,
then the old one's files are removed and it takes their place. The old one is kept in `set-aside` before that.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlite_utils

from app.store.backup import FOLDER, PART, Backups, copy_database, flush, time_of
from app.store.check import count_messages, examine
from app.store.database import Database
from app.store.errors import BackupFailed, DatabaseDamaged, DiskRefused, HomeNotWritable, translated
from app.store.lock import HomeLock
from app.store.migrations import migrations, names
from app.store.pages import Pages
from app.store.salvage import salvage
from app.store.wal import read_log

SET_ASIDE = "set-aside"
NEW = ".new"
EXAMINED = ".examined"
COMPANIONS = ("-wal", "-shm")
WHAT_HAPPENED = "what-happened.txt"
# How long every start tells of a damaged database again, lest nobody was looking.
TELL = timedelta(days=7)
# A larger file takes more than a second: it is checked when the process before did not end well, and by each backup.
CHECKED_BYTES = 1 << 30


def open_database(path: Path, lock: HomeLock) -> tuple[Database, list[str]]:
    """The database at `path`, checked, mended and migrated; and one-line notices for the user.

    Raises DatabaseNewer, with the file untouched; HomeNotWritable, DiskRefused, BackupFailed before a migration.
    """
    notices = []
    try:
        finish_install(path)
        for left in path.parent.glob(f"{path.name}{PART}*"):
            left.unlink()
        wal = _companion(path, "-wal")
        if not path.exists() and wal.exists():
            path.touch()
        if path.exists():
            notices += _inspect(path, wal, lock)
        else:
            notices += _told_of_backups(path)
            _create(path)
        notices += [told for told in _told_before(path) if told not in notices]
    except OSError as error:
        raise HomeNotWritable(path.parent, error.strerror or str(error)) from None
    database = Database(path, reindex=lock.doubtful, on_damage=lock.doubt)
    lock.doubt(False)
    return database, notices


def _inspect(path: Path, wal: Path, lock: HomeLock) -> list[str]:
    """See that the database at `path` can be used, replacing it by what can be saved of it if not."""
    try:
        missing = set(names()) - _applied(path, wal, lock)
    except DatabaseDamaged as damage:
        return [rescue(path, damage.reason)]
    notices = []
    loss = ""
    if lock.wal_expected and not wal.exists():
        loss = f"may be missing: {wal.name} is gone, though Fireside was ended while it was in use"
    elif read_log(wal).damaged:
        loss = f"are missing: {wal.name} was damaged while Fireside was not running"
    if loss:
        folder = set_aside(path, "damaged-log", link=False)
        notices.append(f"The newest changes {loss}. The files as they were are kept in {folder}.")
        (folder / WHAT_HAPPENED).write_text(notices[-1] + "\n", encoding="utf-8")
    if missing:
        Backups(path).make()
    return notices


def rescue(path: Path, reason: str) -> str:
    """Replace a damaged database by what can be saved of it, or by the newest backup if that has more.

    The damaged one is kept byte for byte in a folder of its own. The one-line notice that says so is returned and
    also left there. Raises DiskRefused.
    """
    part = path.with_name(path.name + PART)
    wal = _companion(path, "-wal")
    try:
        saved = _salvaged(path, wal, part)
        backup = Backups(path).newest_sound()
        if backup and backup[1] > saved:
            part.unlink()
            copy_database(backup[0], part)
            kept = f"The backup of {time_of(backup[0]):%Y-%m-%d %H:%M} UTC, {backup[1]:,} messages, is in use instead"
        elif saved:
            kept = f"{saved:,} messages could be saved from it"
        else:
            kept = "Nothing could be saved from it, and there is no backup: the history begins anew"
        folder = set_aside(path, "damaged")
        notice = f"The database was damaged ({reason[:200]}). {kept}. The damaged file is kept in {folder}."
        (folder / WHAT_HAPPENED).write_text(notice + "\n", encoding="utf-8")
        install(part, path)
    except sqlite3.Error as error:
        raise translated(error, path) from None
    except OSError as error:
        raise DiskRefused(path, error) from None
    return notice


def restore(backup: Path, path: Path) -> tuple[int, Path | None]:
    """Put a backup in the place of the database at `path`; its messages, and where what was there is kept.

    Only under the folder's lock. Raises BackupFailed or DatabaseNewer with everything as it was.
    """
    part = path.with_name(path.name + PART)
    if not backup.is_file():
        raise BackupFailed(f"{backup} is not there: name a file of {path.parent / FOLDER}, or one of your own")
    try:
        examine(backup)
    except DatabaseDamaged as damage:
        raise BackupFailed(f"{backup} is no sound backup ({damage.reason}): choose another") from None
    count = copy_database(backup, part)
    try:
        finish_install(path)
        kept = set_aside(path, "before-restore") if path.exists() else None
        install(part, path)
    except OSError as error:
        raise DiskRefused(path, error) from None
    return count, kept


def set_aside(path: Path, why: str, *, link: bool = True) -> Path:
    """Keep a database's files, as they are, in a new folder; the folder.

    link: True only if nothing is written to these files any more.
    """
    folder = path.parent / SET_ASIDE / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{why}"
    folder.mkdir(mode=0o700, parents=True)
    for name in (path, *(_companion(path, ending) for ending in COMPANIONS)):
        if name.exists():
            (_link if link else shutil.copy2)(name, folder / name.name)
    flush(folder)
    return folder


def install(part: Path, path: Path) -> None:
    """Put a complete new database in the place of whatever is at `path`."""
    new = path.with_name(path.name + NEW)
    flush(part)
    part.replace(new)
    flush(path.parent)
    finish_install(path)


def finish_install(path: Path) -> None:
    """The second step of `install`, which a crash may have left undone."""
    new = path.with_name(path.name + NEW)
    if new.exists():
        # An old log beside the new database would be taken for its own.
        for ending in COMPANIONS:
            _companion(path, ending).unlink(missing_ok=True)
        flush(path.parent)
        new.replace(path)
        flush(path.parent)


def _applied(path: Path, wal: Path, lock: HomeLock) -> set[str]:
    """The migrations of the database, after its check."""
    if not path.is_file():
        raise HomeNotWritable(path.parent, f"{path.name} is no file")
    pages = not lock.clean or path.stat().st_size <= CHECKED_BYTES
    applied, messages = _examined(path, wal, pages=pages)
    if not (wal.exists() and wal.stat().st_size):
        return applied
    with Pages(path, wal) as read:
        if read.cut:
            raise DatabaseDamaged(path, "its end is missing")
        if read.log_damaged and _salvageable(path, wal) > messages:
            raise DatabaseDamaged(path, f"{wal.name} was damaged while Fireside was not running")
    if not lock.wal_expected:
        # A clean end leaves no log. Where this one comes from is not known, but an old one takes messages away.
        alone = 0
        with suppress(DatabaseDamaged):
            alone = _examined(path, None, pages=pages)[1]
        if alone > messages:
            raise DatabaseDamaged(path, f"{wal.name} beside it is older than it is")
    return applied


def _examined(path: Path, wal: Path | None, *, pages: bool) -> tuple[set[str], int]:
    """The migrations and the number of messages, examined in a folder of its own.

    Reading a write-ahead log makes SQLite write its index (-shm): here that is not the file that may have to be kept.
    """
    room = path.with_name(path.name + EXAMINED)
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir(mode=0o700)
    try:
        for name in (path, wal):
            if name and name.exists():
                _link(name, room / name.name)
        return set(examine(room / path.name, shown=path, pages=pages)), count_messages(room / path.name)
    except sqlite3.Error as error:
        raise translated(error, path) from None
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _salvageable(path: Path, wal: Path) -> int:
    """How many messages `rescue` would save."""
    part = path.with_name(path.name + PART)
    try:
        return _salvaged(path, wal, part)
    except sqlite3.Error as error:
        raise translated(error, path) from None
    finally:
        part.unlink(missing_ok=True)


def _salvaged(path: Path, wal: Path, part: Path) -> int:
    """Salvage with the write-ahead log, with all of it that is whole, or without it: what yields the most messages."""
    best = 0
    other = part.with_name(part.name + "2")
    for log, all_frames in ((wal, False), (wal, True), (None, False)) if wal.exists() else ((None, False),):
        other.unlink(missing_ok=True)
        saved = salvage(path, log, other, all_frames=all_frames)
        if saved > best or not part.exists():
            best = saved
            other.replace(part)
    other.unlink(missing_ok=True)
    return best


def _create(path: Path) -> None:
    """A new database, with all its tables before it has its name: a file without them is thus never ours."""
    part = path.with_name(path.name + PART)
    part.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(part)) as connection:
            migrations.apply(sqlite_utils.Database(connection, execute_plugins=False))
    except sqlite3.Error as error:
        raise HomeNotWritable(path.parent, str(error)) from None
    install(part, path)


def _told_of_backups(path: Path) -> list[str]:
    sound = Backups(path).newest_sound()
    if not sound or not sound[1]:
        return []
    notice = f"There was no database in {path.parent}, so a new one was begun. A backup has {sound[1]:,} messages: "
    return [f"{notice}stop Fireside, then 'fireside restore {sound[0]}' brings them back."]


def _told_before(path: Path) -> list[str]:
    told = []
    for text in sorted((path.parent / SET_ASIDE).glob(f"*/{WHAT_HAPPENED}")):
        if datetime.now(UTC) - datetime.fromtimestamp(text.stat().st_mtime, UTC) < TELL:
            told.append(" ".join(text.read_text(encoding="utf-8", errors="replace").split()))
    return told


def _companion(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
