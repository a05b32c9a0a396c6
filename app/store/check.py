"""Is this file a sound database of Fireside's?"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlite_utils

from app.store.errors import DatabaseDamaged, DatabaseNewer, DiskRefused, HomeNotWritable, translated
from app.store.migrations import migrations, names
from app.store.pages import MAGIC

# Without these there is no history to show, whatever else the file holds.
TABLES = frozenset({"conversations", "messages", "presets", "events", "messages_fts"})
# "The Database Header" of sqlite.org/fileformat2.html.
WRITE_VERSION = 18
WAL_VERSION = 2
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def connect_readonly(path: Path) -> sqlite3.Connection:
    """A connection that changes neither the database nor its log; sqlite3.Error if that cannot be."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def examine(path: Path, *, shown: Path | None = None, pages: bool = True, thorough: bool = False) -> list[str]:
    """Check the file at `path`; the names of the migrations it has had, in order.

    shown: the path that errors name, where that is another. pages: walk all pages (`quick_check`), about a second
    for a gigabyte. thorough: compare the indexes with their tables and look for broken references as well, several
    times as long. Raises DatabaseDamaged, DatabaseNewer,
    HomeNotWritable if it cannot be opened, DiskRefused if the disk cannot be read.
    """
    shown = shown or path
    try:
        with path.open("rb") as file:
            header = file.read(WRITE_VERSION + 1)
        if header.startswith(MAGIC) and header[WRITE_VERSION] > WAL_VERSION:
            # SQLite would open it, for reading only.
            raise DatabaseDamaged(shown, f"its header has the write version {header[WRITE_VERSION]}")
        with closing(connect_readonly(path)) as connection:
            connection.execute("PRAGMA mmap_size = 0")
            if pages:
                pragma = "integrity_check" if thorough else "quick_check"
                if (found := connection.execute(f"PRAGMA {pragma}(1)").fetchone()[0]) != "ok":
                    raise DatabaseDamaged(shown, found)
            if thorough and (broken := connection.execute("PRAGMA foreign_key_check").fetchone()):
                raise DatabaseDamaged(shown, f"a row of {broken[0]} refers to one of {broken[2]} that is not there")
            present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            db = sqlite_utils.Database(connection, execute_plugins=False)
            applied = [migration.name for migration in migrations.applied(db)]
    except sqlite3.Error as error:
        raise _reason(error, shown) from None
    except OSError as error:
        raise HomeNotWritable(shown.parent, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:  # SQLite's message cites what is damaged
        raise DatabaseDamaged(shown, str(error)) from None
    known = names()
    if (unknown := sorted(set(applied).difference(known))) and set(applied).issuperset(known):
        raise DatabaseNewer(shown, unknown)
    if not present:
        raise DatabaseDamaged(shown, "it is empty")
    if missing := sorted(TABLES - present):
        raise DatabaseDamaged(shown, f"it has no table {missing[0]}")
    # Applied in order, none is left out.
    if not applied or set(applied) != set(known[: len(applied)]):
        raise DatabaseDamaged(shown, "what it tells of its migrations is not so")
    return applied


def count_messages(path: Path) -> int:
    """How many messages the database at `path` has. Raises sqlite3.Error."""
    with closing(connect_readonly(path)) as connection:
        return connection.execute("SELECT count(*) FROM messages").fetchone()[0]


def _reason(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_IOERR:
        return DiskRefused(path, error)
    if code == sqlite3.SQLITE_CANTOPEN:
        return HomeNotWritable(path.parent, str(error))
    # Damage can hide behind a plain error: a schema that is no longer SQL, for one.
    return DatabaseDamaged(path, str(error)) if code in DAMAGE | {sqlite3.SQLITE_ERROR} else translated(error, path)
