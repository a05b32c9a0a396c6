"""The trash: what was deleted, until it is erased for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.store.errors import NotFound
from app.store.events import DELETE_MESSAGES
from app.store.ownership import IS_OWNED, OWNED_CONVERSATION
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
    """What was deleted from one database. owner: see `Store.of`.

    Erasing leaves nothing behind in the data folder's database: rows go, the search index is merged so that it forgets
    their words, and the file is written anew without its free pages, as is the write-ahead log. It takes as long as
    copying the file. Backups made before keep what they have until they are replaced.

    erase_too: called whenever something is erased, to erase what was derived from it elsewhere. If it raises, nothing
    is erased.
    """

    def __init__(self, database: Database, owner: str | None = None) -> None:
        self._database = database
        self._owner = owner
        self.erase_too: Callable[[], None] = lambda: None

    def conversations(self) -> list[Conversation]:
        """The deleted conversations, the last one first."""
        with self._database.read() as db:
            rows = db.query(
                """SELECT * FROM conversations WHERE deleted_at IS NOT NULL AND (?1 IS NULL OR owner = ?1)
                   ORDER BY deleted_at DESC, id DESC""",
                [self._owner],
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
                   WHERE m.deleted_at IS NOT NULL AND c.deleted_at IS NULL AND (?1 IS NULL OR c.owner = ?1)
                   GROUP BY e.id ORDER BY e.id DESC""",
                [self._owner],
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
                f"DELETE FROM conversations WHERE id = ?1 AND deleted_at IS NOT NULL AND {IS_OWNED}",
                [storable(conversation_id), self._owner],
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
            gone = f"DELETE FROM conversations WHERE deleted_at < ?1 AND {IS_OWNED}"
            count = db.execute(gone, [time, self._owner]).rowcount
            count += _delete_messages(db, time, self._owner)
            # What undo would need, beyond the time in which things can be undone.
            if time != _EVERYTHING:
                old = f"DELETE FROM events WHERE created_at < ?1 AND {OWNED_CONVERSATION}"
                db.execute(old, [time, self._owner])
            if count:
                _forget_words(db)
                self.erase_too()
        if count:
            self._database.compact()
        return count


def _delete_messages(db: Any, time: str, owner: str | None) -> int:
    """Delete messages that went into the trash before a time, without what hangs below them."""
    chosen = f"deleted_at < ?1 AND {OWNED_CONVERSATION}"
    gone = f"SELECT id FROM messages WHERE {chosen}"
    # Each round moves them one deleted ancestor up; those of deleted ones do not matter.
    moved = 1
    while moved:
        moved = db.execute(
            f"""UPDATE messages SET parent_id = (SELECT p.parent_id FROM messages p WHERE p.id = messages.parent_id)
                WHERE parent_id IN ({gone}) AND id NOT IN ({gone})""",
            [time, owner],
        ).rowcount
    found = db.query(f"SELECT DISTINCT deleted_by FROM messages WHERE {chosen}", [time, owner])
    events = [row["deleted_by"] for row in found]
    count = db.execute(f"DELETE FROM messages WHERE {chosen}", [time, owner]).rowcount
    db.conn.executemany("DELETE FROM events WHERE id = ? AND kind = ?", [(id, DELETE_MESSAGES) for id in events])
    return count


def _forget_words(db: Any) -> None:
    # Deleted words stay in the index's older segments until all are merged into one.
    db.execute("INSERT INTO messages_fts (messages_fts) VALUES ('optimize')")
