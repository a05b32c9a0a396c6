"""The database as it was after each migration, written out as SQL: what no later change of the code can change.

`python -m tests.app.schemas NAME` writes NAME.sql for the migration of that name, once it is never to change again.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from app.store import cjk
from app.store.migrations import migrations, names

FOLDER = Path(__file__).parent
CONVERSATION, FIRST, SECOND = "01K0000000000000000000000A", "01K0000000000000000000000B", "01K0000000000000000000000C"
TIME = "2026-11-23T20:00:00.000+00:00"


def load(name: str, path: Path) -> None:
    """Make the database of a schema at `path`."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))


def migrate_until(connection: sqlite3.Connection, name: str) -> None:
    """Bring a database to the schema after the migration `name`."""
    following = names()[names().index(name) + 1 :]
    migrations.apply(Database(connection, execute_plugins=False), stop_before=following)


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Kind and SQL of everything that was created, without the tables FTS5 keeps for itself."""
    own = "SELECT name FROM pragma_table_list WHERE type = 'shadow'"
    query = f"SELECT type, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT IN ({own}) ORDER BY rowid"
    return connection.execute(query).fetchall()


def write(name: str) -> Path:
    """Write the schema after a migration, with a conversation of two messages in it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate_until(connection, name)
        connection.execute(
            "INSERT INTO conversations (id, title, created_at, updated_at) VALUES (?, 'Oaks', ?, ?)",
            (CONVERSATION, TIME, TIME),
        )
        for id, parent, role, content in (
            (FIRST, None, "user", "What is an oak?"),
            (SECOND, FIRST, "assistant", "A tree, in Chinese 橡树."),
        ):
            connection.execute(
                "INSERT INTO messages (id, conversation_id, parent_id, role, content, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (id, CONVERSATION, parent, role, content, TIME),
            )
            if "cjk" in Database(connection, execute_plugins=False)["messages"].columns_dict:
                # As the store writes it.
                connection.execute("UPDATE messages SET cjk = ? WHERE id = ?", (cjk.indexed(content), id))
        connection.execute("UPDATE conversations SET current_message_id = ?", [SECOND])
        created = schema(connection)
        lines = [f"{sql};" for kind, sql in created if kind == "table"]
        for (table,) in connection.execute("SELECT name FROM pragma_table_list WHERE type = 'table'").fetchall():
            if table.startswith("sqlite_"):
                continue
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = " || ', ' || ".join(f"quote({column})" for column in columns)
            for (row,) in connection.execute(f"SELECT {values} FROM {table}"):
                lines.append(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({row});")
        lines += [f"{sql};" for kind, sql in created if kind != "table"]
        lines += [
            f"INSERT INTO {table} ({table}) VALUES ('rebuild');"
            for (table,) in connection.execute("SELECT name FROM pragma_table_list WHERE type = 'virtual'")
        ]
    path = FOLDER / f"{name}.sql"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
