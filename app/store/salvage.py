"""Whatever can be read of a damaged database, written into a new one.

SQLite's own `.recover` is a command of its shell, which Python does not have. This does for the tables of this schema
what that does for any: the rows of every page that is reachable from a table's root, and of every other leaf page
whose records fit a table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlite_utils

from app.store.migrations import migrations, names
from app.store.pages import Pages, Row, Value

SCHEMA_ROOT = 1
SCHEMA_COLUMNS = 5
MIGRATIONS_TABLE = "_sqlite_migrations"
LOST_TITLE = "Recovered chat"
# What a value of each affinity is stored as (sqlite.org/datatype3.html); integers stand in for whole REALs.
STORED: Mapping[str, tuple[type, ...]] = {"TEXT": (str,), "INTEGER": (int,), "REAL": (int, float), "BLOB": (bytes,)}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `key` if it is another name of the rowid, which records leave empty."""

    name: str
    type: str
    required: bool
    key: bool

    def fits(self, value: Value) -> bool:
        """Whether a record of the table can have this value here."""
        if value is None:
            return self.key or not self.required
        return not self.key and isinstance(value, STORED[self.type])


def salvage(source: Path, wal: Path | None, target: Path, *, all_frames: bool = False) -> int:
    """Write what can be read of `source` into a new database `target`; how many messages that is.

    wal, all_frames: as for `Pages`. The source is only read. The target has the schema of the source, as far as that
    can be read, else the present one; it is to be migrated like any other. Rows are put into order: a message whose
    parent is lost goes below the one before it, one whose conversation is lost into a new conversation. Raises OSError
    and sqlite3.Error for what the disk refuses.
    """
    with Pages(source, wal, all_frames=all_frames) as pages, closing(sqlite3.connect(target)) as connection:
        roots = _roots(pages)
        db = sqlite_utils.Database(connection, execute_plugins=False)
        _create_schema(db, _applied(pages, roots))
        connection.execute("PRAGMA foreign_keys = OFF")
        # For the search index: a row that replaces another takes its words out of it.
        connection.execute("PRAGMA recursive_triggers = ON")
        tables = _tables(connection)
        connection.execute("BEGIN")
        reached = {name: pages.leaves(roots[name]) for name in tables if name in roots}
        everything = {number for root in roots.values() for number in pages.leaves(root)}
        for number in pages.orphans(everything):
            rows = list(pages.rows(number))
            if name := _table_of(rows, tables):
                _insert(connection, name, tables[name], rows)
        # Last, so that a page in use wins over one that was left behind.
        for name, numbers in reached.items():
            for number in numbers:
                _insert(connection, name, tables[name], pages.rows(number))
        _put_in_order(connection)
        connection.execute("COMMIT")
        return connection.execute("SELECT count(*) FROM messages").fetchone()[0]


def _roots(pages: Pages) -> dict[str, int]:
    """Root pages of the tables, by name, from the schema table on page 1."""
    roots = {}
    for number in pages.leaves(SCHEMA_ROOT):
        for row in pages.rows(number):
            if len(row.values) == SCHEMA_COLUMNS and row.values[0] == "table":
                name, root = row.values[1], row.values[3]
                if isinstance(name, str) and isinstance(root, int) and root > 1:
                    roots[name] = root
    return roots


def _applied(pages: Pages, roots: Mapping[str, int]) -> set[str]:
    """Names of the migrations that the source has had."""
    rows = (row for number in pages.leaves(roots.get(MIGRATIONS_TABLE, 0)) for row in pages.rows(number))
    return {str(row.values[2]) for row in rows if len(row.values) == 4}


def _create_schema(db: sqlite_utils.Database, applied: set[str]) -> None:
    known = names()
    # As many were applied as names are left, and all before one that is known.
    count = max([len(applied), *(known.index(name) + 1 for name in applied.intersection(known))])
    # Nothing known of the source: its tables are taken to be those of this version.
    migrations.apply(db, stop_before=known[count:] if count else None)


def _tables(connection: sqlite3.Connection) -> dict[str, list[Column]]:
    """The columns of the ordinary tables, all of them emptied for the rows of the source."""
    tables = {}
    for _, name, kind, *_ in connection.execute("PRAGMA main.table_list").fetchall():
        if kind == "table" and not name.startswith("sqlite_") and name != MIGRATIONS_TABLE:
            columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
            tables[name] = [
                Column(column, type, bool(notnull), key=bool(primary) and type == "INTEGER")
                for _, column, type, notnull, _, primary in columns
            ]
            if name != "presets":
                connection.execute(f"DELETE FROM {name}")
    connection.commit()
    return tables


def _table_of(rows: Sequence[Row], tables: Mapping[str, list[Column]]) -> str | None:
    """The one table whose records these can be; None if there is none or more than one."""
    fitting = [name for name, columns in tables.items() if rows and all(_fits(row, columns) for row in rows)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(row: Row, columns: Sequence[Column]) -> bool:
    # Columns that were added later are missing at the end of older records.
    first_text = next((column.name for column in columns if column.type == "TEXT"), "")
    return (
        len(columns) // 2 < len(row.values) <= len(columns)
        and bool(first_text)
        and all(column.fits(value) for column, value in zip(columns, row.values, strict=False))
    )


def _insert(connection: sqlite3.Connection, table: str, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    for row in rows:
        if not _fits(row, columns):
            continue
        values = [row.rowid if column.key else value for column, value in zip(columns, row.values, strict=False)]
        names = ", ".join(column.name for column in columns[: len(values)])
        try:
            connection.execute(
                f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({', '.join('?' * len(values))})", values
            )
        except sqlite3.IntegrityError:  # a row that breaks a rule of the schema was not written by Fireside
            continue


def _put_in_order(connection: sqlite3.Connection) -> None:
    """Mend the references that the loss of rows has broken."""
    connection.execute(
        f"""INSERT INTO conversations (id, title, created_at, updated_at)
            SELECT conversation_id, '{LOST_TITLE}', min(created_at), max(created_at) FROM messages
            WHERE conversation_id NOT IN (SELECT id FROM conversations) GROUP BY conversation_id"""
    )
    # The one before it has a smaller id, so no circle can come of this.
    connection.execute(
        """UPDATE messages SET parent_id = (
               SELECT max(earlier.id) FROM messages AS earlier
               WHERE earlier.conversation_id = messages.conversation_id AND earlier.id < messages.id)
           WHERE parent_id IS NOT NULL AND parent_id NOT IN (SELECT id FROM messages)"""
    )
    connection.execute(
        """UPDATE conversations SET current_message_id = (
               SELECT max(id) FROM messages WHERE conversation_id = conversations.id)
           WHERE current_message_id IS NULL OR current_message_id NOT IN (SELECT id FROM messages)"""
    )
    for table, rowid, parent, key in connection.execute("PRAGMA foreign_key_check").fetchall():
        column = connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()[key][3]
        if parent == "presets":
            connection.execute(f"UPDATE {table} SET {column} = NULL WHERE rowid = ?", [rowid])
        else:
            connection.execute(f"DELETE FROM {table} WHERE rowid = ?", [rowid])
