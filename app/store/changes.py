"""Which conversations a transaction changed, noted by SQLite itself so that no way of writing is forgotten."""

from __future__ import annotations

import sqlite3

# Growing text is left out: it has its own stream.
OF_CONVERSATIONS = (
    "title, pinned, archived, deleted_at, current_message_id, system_prompt, preset_id, settings, context_policy"
)
TRIGGERS = (
    ("conversations_added", "INSERT ON main.conversations", "new.id"),
    ("conversations_changed", f"UPDATE OF {OF_CONVERSATIONS} ON main.conversations", "new.id"),
    ("conversations_erased", "DELETE ON main.conversations", "old.id"),
    ("tags_added", "INSERT ON main.conversation_tags", "new.conversation_id"),
    ("tags_removed", "DELETE ON main.conversation_tags", "old.conversation_id"),
    ("messages_added", "INSERT ON main.messages", "new.conversation_id"),
    ("messages_changed", "UPDATE OF status, deleted_at, context ON main.messages", "new.conversation_id"),
    ("messages_erased", "DELETE ON main.messages", "old.conversation_id"),
)
# An answer is saved every second with the status it has already.
IF_CHANGED = (
    "WHEN old.status IS NOT new.status OR old.deleted_at IS NOT new.deleted_at OR old.context IS NOT new.context"
)


def note_changes(connection: sqlite3.Connection) -> None:
    """Have a connection note what it changes, in a table of its own that is in no file."""
    connection.execute("CREATE TEMP TABLE changed (conversation_id TEXT PRIMARY KEY) WITHOUT ROWID")
    for name, event, id in TRIGGERS:
        condition = IF_CHANGED if name == "messages_changed" else ""
        connection.execute(
            f"CREATE TEMP TRIGGER note_{name} AFTER {event} {condition} "
            f"BEGIN INSERT OR IGNORE INTO changed VALUES ({id}); END"
        )
    connection.commit()


def take_changes(connection: sqlite3.Connection) -> set[str]:
    """The ids of the conversations that were changed since the last call; within the transaction that commits."""
    ids = {id for (id,) in connection.execute("SELECT conversation_id FROM temp.changed")}
    if ids:
        connection.execute("DELETE FROM temp.changed")
    return ids
