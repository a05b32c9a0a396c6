"""Branches of a conversation's tree as wholes: moved to, deleted, copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.store.errors import NotFound
from app.store.events import DELETE_MESSAGES, Events
from app.store.ids import IdSource
from app.store.messages import COLUMNS, Messages
from app.store.ownership import IS_OWNED
from app.store.records import Message
from app.store.text import now, storable

if TYPE_CHECKING:
    from app.store.database import Database

# What a copy does not take over: it has an identity and a place of its own, and is in no trash.
_OWN = frozenset({"id", "conversation_id", "parent_id", "status", "deleted_at", "external_id"})
_COPIED = ", ".join([*(name for name in COLUMNS if name not in _OWN), "cjk"])


class Branches:
    """Operations on whole branches. Those that take an id raise NotFound, also for messages in the trash.

    owner: see `Store.of`; `messages` and `events` are that person's.
    """

    def __init__(
        self, database: Database, ids: IdSource, messages: Messages, events: Events, owner: str | None = None
    ) -> None:
        self._database = database
        self._owner = owner
        self._ids = ids
        self._messages = messages
        self._events = events

    def present(self, message_id: str) -> Message:
        """The message, if it is not in the trash."""
        message = self._messages.get(message_id)
        if message.deleted_at is not None:
            raise NotFound("message", message_id)
        return message

    def show(self, message_id: str) -> Message:
        """Make the branch of a message the current one: its newest leaf, unless it is on the path already."""
        with self._database.write() as db:
            message = self.present(message_id)
            if message.id not in {one.id for one in self._messages.path(message.conversation_id)}:
                self._select(db, message.conversation_id, self._messages.leaf(message.id).id)
            return message

    def delete(self, message_id: str, *, subtree: bool = True) -> str:
        """Put a message with all that follows it into the trash, in all branches below; id of the event to undo.

        subtree False: the message alone, what follows it moves up to its parent. If the current leaf goes, the
        neighbouring version takes its place, else the parent.
        """
        with self._database.write() as db:
            message = self.present(message_id)
            current = self._current(db, message.conversation_id)
            gone = self._below(db, message.id) if subtree else [message.id]
            children = [] if subtree else self._children(db, message.id)
            leaf = current
            if current in gone:
                leaf = self._neighbour(message) or message.parent_id
            before = {"message_id": message.id, "children": children, "current_message_id": current}
            event = self._events.add(DELETE_MESSAGES, message.conversation_id, before, {})
            time = now()
            db.conn.executemany(
                "UPDATE messages SET deleted_at = ?, deleted_by = ? WHERE id = ?", [(time, event, id) for id in gone]
            )
            if not subtree:
                db.execute("UPDATE messages SET parent_id = ? WHERE parent_id = ?", [message.parent_id, message.id])
            if current in gone:
                leaf = self._messages.leaf(leaf).id if leaf else None
                self._select(db, message.conversation_id, leaf)
            self._events.amend(event, {"current_message_id": leaf})
            return event

    def copy(self, from_id: str, to_id: str, *, leaf_id: str | None = None) -> None:
        """Copy messages with all that made them into another, empty conversation, which shows the same then.

        leaf_id: only the path that ends with it; None copies every branch. Each copy names its original in `extra`.
        """
        with self._database.write() as db:
            self._current(db, to_id)
            source = self._current(db, from_id)
            if leaf_id is None:
                rows = db.query(
                    "SELECT id, parent_id FROM messages WHERE conversation_id = ? AND deleted_at IS NULL ORDER BY id",
                    [from_id],
                )
                pairs = _parents_first([(row["id"], row["parent_id"]) for row in rows])
            else:
                pairs = [(one.id, one.parent_id) for one in self._messages.path(from_id, leaf_id=leaf_id)]
            copies: dict[str | None, str | None] = {None: None}
            for id, parent_id in pairs:
                copies[id] = self._ids.new()
                # An answer in the making grows on in the original only.
                db.execute(
                    f"""INSERT INTO messages (id, conversation_id, parent_id, status, {_COPIED})
                        SELECT ?, ?, ?, iif(status = 'streaming', 'interrupted', status), {_COPIED}
                        FROM messages WHERE id = ?""",
                    [copies[id], to_id, copies.get(parent_id), id],
                )
                db.execute(
                    """UPDATE messages SET extra = json_set(iif(json_valid(extra), extra, '{}'), '$.copied_from', ?)
                       WHERE id = ?""",
                    [id, copies[id]],
                )
            self._select(db, to_id, copies.get(leaf_id or source))

    def _select(self, db: Any, conversation_id: str, leaf_id: str | None) -> None:
        db.execute("UPDATE conversations SET current_message_id = ? WHERE id = ?", [leaf_id, conversation_id])

    def _current(self, db: Any, conversation_id: str) -> str | None:
        found = f"SELECT current_message_id FROM conversations WHERE id = ?1 AND {IS_OWNED}"
        rows = list(db.query(found, [storable(conversation_id), self._owner]))
        if not rows:
            raise NotFound("conversation", conversation_id)
        return rows[0]["current_message_id"]

    def _below(self, db: Any, message_id: str) -> list[str]:
        """The message and its descendants that are not in the trash."""
        rows = db.query(
            """WITH RECURSIVE below (id) AS (
                   SELECT ? UNION
                   SELECT messages.id FROM messages JOIN below ON parent_id = below.id WHERE deleted_at IS NULL)
               SELECT id FROM below""",
            [message_id],
        )
        return [row["id"] for row in rows]

    def _children(self, db: Any, message_id: str) -> list[str]:
        return [row["id"] for row in db.query("SELECT id FROM messages WHERE parent_id = ?", [message_id])]

    def _neighbour(self, message: Message) -> str | None:
        """The version before a message, else the one after it."""
        versions = self._messages.versions(message.conversation_id, [message.parent_id])[message.parent_id]
        at = versions.index(message.id)
        beside = versions[at - 1 : at] or versions[at + 1 : at + 2]
        return beside[0] if beside else None


def _parents_first(pairs: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """The same pairs, every message after its parent. Ids grow downwards, but for what was imported or undone."""
    left, done = dict(pairs), list[tuple[str, str | None]]()
    for id in list(left):
        chain = []
        while id in left:
            chain.append((id, left.pop(id)))
            id = chain[-1][1]
        done += chain[::-1]
    return done
