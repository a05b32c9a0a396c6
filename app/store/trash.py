"""The trash: what was deleted, until it is erased for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.store.errors import NotFound
from app.store.events import DELETE_MESSAGES
from app.store.records import Conversation
from app.store.text import storable

if TYPE_CHECKING:
    from app.store.database import Database

_EVERYTHING = "9999"


@dataclass(frozen=True, slots=True)
class DeletedMessages:
    """Messages that were deleted together from a conversation that is still there. event_id: what to undo."""

    event_id: str
    conversation_id: str
    title: str
    deleted_at: str
    count: int
    beginning: str


class Trash:
    """What was deleted from one database.

    Erasing leaves nothing behind in the data folder's database: rows go, the search index is merged so that it forgets
    their words, and the file is written anew without its free pages, as is the write-ahead log. It takes as long as
    copying the file. Backups made before keep what they have until they are replaced.

    erase_too: called whenever something is erased, to erase what was derived from it elsewhere. If it raises, nothing
    is erased.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.erase_too: Callable[[], None] = lambda: None

    def conversations(self) -> list[Conversation]:
        """The deleted conversations, the last one first."""
        with self._database.read() as db:
            rows = db.query(
                "SELECT * FROM conversations WHERE deleted_at IS NOT NULL ORDER BY deleted_at DESC, id DESC"
            )
            return [Conversation.from_row(row) for row in rows]

    def messages(self) -> list[DeletedMessages]:
        """What was deleted from conversations that are still there, the last first."""
        with self._database.read() as db:
            rows = db.query(
                """SELECT e.id AS event_id, e.conversation_id, c.title, max(m.deleted_at) AS deleted_at,
                          count(*) AS count,
                          (SELECT substr(content, 1, 120) FROM messages
                           WHERE id = json_extract(e.before, '$.message_id')) AS beginning
                   FROM messages m JOIN events e ON e.id = m.deleted_by
                        JOIN conversations c ON c.id = e.conversation_id
                   WHERE m.deleted_at IS NOT NULL AND c.deleted_at IS NULL
                   GROUP BY e.id ORDER BY e.id DESC"""
            )
            return [
                DeletedMessages(
                    event_id=row["event_id"],
                    conversation_id=row["conversation_id"],
                    title=row["title"],
                    deleted_at=row["deleted_at"],
                    count=row["count"],
                    beginning=row["beginning"] or "",
                )
                for row in rows
            ]

    def erase(self, conversation_id: str) -> None:
        """Erase one conversation, which must be in the trash; raises NotFound."""
        with self._database.write() as db:
            rows = db.execute(
                "DELETE FROM conversations WHERE id = ? AND deleted_at IS NOT NULL", [storable(conversation_id)]
            )
            if not rows.rowcount:
                raise NotFound("conversation in the trash", conversation_id)
            _forget_words(db)
            self.erase_too()
        self._database.compact()

    def empty(self) -> int:
        """Erase everything that is in the trash; how many conversations and messages that was."""
        return self._erase_before(_EVERYTHING)

    def purge(self, days: int) -> int:
        """Erase what has been in the trash for so many days, 0 for nothing; as `empty`."""
        if not days:
            return 0
        return self._erase_before((datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds"))

    def _erase_before(self, time: str) -> int:
        with self._database.write() as db:
            count = db.execute("DELETE FROM conversations WHERE deleted_at < ?", [time]).rowcount
            count += _delete_messages(db, time)
            # What undo would need, beyond the time in which things can be undone.
            db.execute("DELETE FROM events WHERE created_at < ? AND ? != ?", [time, time, _EVERYTHING])
            if count:
                _forget_words(db)
                self.erase_too()
        if count:
            self._database.compact()
        return count


def _delete_messages(db: Any, time: str) -> int:
    """Delete messages that went into the trash before a time, without what hangs below them."""
    gone = "SELECT id FROM messages WHERE deleted_at < ?"
    # Each round moves them one deleted ancestor up; those of deleted ones do not matter.
    moved = 1
    while moved:
        moved = db.execute(
            f"""UPDATE messages SET parent_id = (SELECT p.parent_id FROM messages p WHERE p.id = messages.parent_id)
                WHERE parent_id IN ({gone}) AND id NOT IN ({gone})""",
            [time, time],
        ).rowcount
    events = [
        row["deleted_by"] for row in db.query("SELECT DISTINCT deleted_by FROM messages WHERE deleted_at < ?", [time])
    ]
    count = db.execute("DELETE FROM messages WHERE deleted_at < ?", [time]).rowcount
    db.conn.executemany("DELETE FROM events WHERE id = ? AND kind = ?", [(id, DELETE_MESSAGES) for id in events])
    return count


def _forget_words(db: Any) -> None:
    # Deleted words stay in the index's older segments until all are merged into one.
    db.execute("INSERT INTO messages_fts (messages_fts) VALUES ('optimize')")
