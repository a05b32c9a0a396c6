"""Messages: the nodes of a conversation's tree, in all its branches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from app.store import cjk
from app.store.errors import NotFound
from app.store.ids import IdSource
from app.store.ownership import IS_OWNED, OWNED_CONVERSATION
from app.store.records import JSON_COLUMNS, Hit, Message, Role, Status, column_names
from app.store.search import Filters, find_messages
from app.store.text import now, storable, to_json

if TYPE_CHECKING:
    from app.store.database import Database

# The identity of a message and its place in the tree are not for change: a path could run in a circle. Only
# `Branches.delete` moves messages, and only up. Messages go into the trash and out of it by `Branches` too.
FIXED = frozenset({"id", "conversation_id", "parent_id", "role", "created_at", "deleted_at"})
COLUMNS = column_names(Message)
CHANGEABLE = frozenset(COLUMNS) - FIXED
BLOBS = frozenset({"token_ids", "token_logprobs"})
WITHOUT_BLOBS = ", ".join(f"NULL AS {name}" if name in BLOBS else f"messages.{name}" for name in COLUMNS)


@dataclass(frozen=True, slots=True)
class Growth:
    """How a streaming answer stands: what `Messages.grow` writes."""

    message_id: str
    columns: Mapping[str, Any]


class Messages:
    """The messages of one database.

    Methods that take an id raise NotFound. Those that list messages leave out what is in the trash, and the BLOBs of
    token ids and probabilities (None there), which are ten times the size of the text; `get` and `tree` read them.
    owner: see `Store.of`.
    """

    def __init__(self, database: Database, ids: IdSource, owner: str | None = None) -> None:
        self._database = database
        self._ids = ids
        self._owner = owner

    def add(
        self,
        conversation_id: str,
        *,
        parent_id: str | None,
        role: Role,
        content: str = "",
        status: Status = "complete",
        **columns: Any,
    ) -> Message:
        """Add a message below its parent (None: at the root) and make it the conversation's current leaf."""
        id, time = self._ids.new(), now()
        values = {
            "id": id,
            "conversation_id": storable(conversation_id),
            "parent_id": parent_id,
            "role": role,
            "created_at": time,
            **_storable({"content": content, "status": status, **columns}),
        }
        with self._database.write() as db:
            found = f"SELECT 1 FROM conversations WHERE id = ?1 AND {IS_OWNED}"
            if not list(db.query(found, [values["conversation_id"], self._owner])):
                raise NotFound("conversation", conversation_id)
            if parent_id is not None and self.get(parent_id).conversation_id != conversation_id:
                raise NotFound("message", parent_id)
            marks = ", ".join("?" * len(values))
            db.execute(f"INSERT INTO messages ({', '.join(values)}) VALUES ({marks})", list(values.values()))
            db.execute(
                "UPDATE conversations SET current_message_id = ?, updated_at = ? WHERE id = ?",
                [id, time, values["conversation_id"]],
            )
            return self.get(id)

    def get(self, id: str) -> Message:
        """Also one in the trash: its `deleted_at` is set."""
        with self._database.read() as db:
            rows = list(
                db.query(f"SELECT * FROM messages WHERE id = ?1 AND {OWNED_CONVERSATION}", [storable(id), self._owner])
            )
        if not rows:
            raise NotFound("message", id)
        return Message.from_row(rows[0])

    def update(self, id: str, **columns: Any) -> Message:
        """Change columns other than id, conversation_id, parent_id, role and created_at."""
        with self._database.write() as db:
            message = self.get(id)
            if columns:
                _update(db, id, columns)
                message = self.get(id)
            return message

    def grow(self, answers: list[Growth]) -> set[str]:
        """Save streaming answers as they stand, whoever's, in one transaction; ids of those that are still wanted.

        An answer that is no longer streaming is left as it is. Not wanted: it is gone, or its conversation is
        gone or in the trash.
        """
        with self._database.write() as db:
            for answer in answers:
                if answer.columns:
                    _update(db, answer.message_id, answer.columns, " AND status = 'streaming'")
            marks = ", ".join("?" * len(answers))
            rows = db.query(
                f"""SELECT messages.id FROM messages JOIN conversations ON conversations.id = conversation_id
                    WHERE messages.id IN ({marks}) AND messages.deleted_at IS NULL
                        AND conversations.deleted_at IS NULL""",
                [answer.message_id for answer in answers],
            )
            return {row["id"] for row in rows}

    def interrupt(self) -> int:
        """Mark answers, whoever's, that nobody is writing any more as interrupted; how many there were."""
        with self._database.write() as db:
            return db.execute("UPDATE messages SET status = 'interrupted' WHERE status = 'streaming'").rowcount

    def path(self, conversation_id: str, *, leaf_id: str | None = None) -> list[Message]:
        """From the root to the current leaf, or to `leaf_id`; empty for an empty conversation.

        NotFound also for a leaf in the trash.
        """
        with self._database.read() as db:
            rows = list(
                db.query(
                    f"SELECT * FROM conversations WHERE id = ?1 AND {IS_OWNED}",
                    [storable(conversation_id), self._owner],
                )
            )
            if not rows:
                raise NotFound("conversation", conversation_id)
            leaf = rows[0]["current_message_id"] if leaf_id is None else storable(leaf_id)
            found = db.query(
                f"""WITH RECURSIVE ancestors (id) AS (
                        SELECT ? UNION
                        SELECT parent_id FROM messages JOIN ancestors USING (id) WHERE parent_id IS NOT NULL)
                    SELECT {WITHOUT_BLOBS} FROM messages JOIN ancestors USING (id)
                    WHERE conversation_id = ?""",
                [leaf, rows[0]["id"]],
            )
            by_id = {row["id"]: Message.from_row(row) for row in found}
        if leaf_id is not None and (leaf not in by_id or by_id[leaf].deleted_at):
            raise NotFound("message", leaf_id)
        path = []
        # Taking each message out ends the walk even if another tool has bent the tree into a circle.
        while leaf is not None and (message := by_id.pop(leaf, None)):
            path.append(message)
            leaf = message.parent_id
        return path[::-1]

    def tree(self, conversation_id: str) -> list[Message]:
        """Every message of a conversation with its BLOBs, without those in the trash; parents come first."""
        with self._database.read() as db:
            rows = db.query(
                f"""SELECT * FROM messages
                    WHERE conversation_id = ?1 AND deleted_at IS NULL AND {OWNED_CONVERSATION} ORDER BY id""",
                [storable(conversation_id), self._owner],
            )
            return [Message.from_row(row) for row in rows]

    def siblings(self, id: str) -> list[Message]:
        """The message and the others with the same parent, oldest first."""
        message = self.get(id)
        with self._database.read() as db:
            rows = db.query(
                f"""SELECT {WITHOUT_BLOBS} FROM messages
                    WHERE conversation_id = ? AND parent_id IS ? AND deleted_at IS NULL ORDER BY id""",
                [message.conversation_id, message.parent_id],
            )
            return [Message.from_row(row) for row in rows]

    def versions(self, conversation_id: str, parent_ids: Collection[str | None]) -> dict[str | None, list[str]]:
        """The ids of the messages below each of these parents, oldest first; in one pass for all of them."""
        versions: dict[str | None, list[str]] = defaultdict(list)
        with self._database.read() as db:
            rows = db.query(
                f"""SELECT id, parent_id FROM messages
                    WHERE conversation_id = ?1 AND deleted_at IS NULL AND {OWNED_CONVERSATION} ORDER BY id""",
                [storable(conversation_id), self._owner],
            )
            for row in rows:
                if row["parent_id"] in parent_ids:
                    versions[row["parent_id"]].append(row["id"])
        return versions

    def leaf(self, id: str) -> Message:
        """The end of the branch that goes on from a message through the newest child each time."""
        newest = "SELECT id FROM messages WHERE parent_id = ? AND deleted_at IS NULL ORDER BY id DESC LIMIT 1"
        with self._database.read() as db:
            seen: set[str] = set()
            leaf = self.get(id).id
            while leaf not in seen and (rows := list(db.query(newest, [storable(leaf)]))):
                seen.add(leaf)
                leaf = rows[0]["id"]
        return self.get(leaf)

    def models(self) -> list[str]:
        """The names of all models that wrote any."""
        with self._database.read() as db:
            # Each from the end of the one before in the index: reading all of it would take as long as it is.
            rows = db.query(
                f"""WITH RECURSIVE names (name) AS (
                        SELECT min(model) FROM messages WHERE model IS NOT NULL UNION ALL
                        SELECT (SELECT min(model) FROM messages WHERE model > name) FROM names WHERE name IS NOT NULL)
                    SELECT name FROM names WHERE name IS NOT NULL
                    AND (?2 IS NULL OR EXISTS (SELECT 1 FROM messages WHERE model = name AND {OWNED_CONVERSATION}))""",
                [None, self._owner],
            )
            return [row["name"] for row in rows]

    def search(self, query: str, limit: int = 50, filters: Filters | None = None) -> list[Hit]:
        """Messages of any branch that have all the words, newest first; any text is a valid query.

        What is in the trash is left out. See `app.store.search` for what counts as a word.
        """
        with self._database.read() as db:
            return find_messages(db, query, limit, replace(filters or Filters(), owner=self._owner or ""))


def _update(db: Any, id: str, columns: Mapping[str, Any], condition: str = "") -> None:
    values = _storable(columns)
    assignments = ", ".join(f"{name} = ?" for name in values)
    db.execute(f"UPDATE messages SET {assignments} WHERE id = ?{condition}", [*values.values(), storable(id)])


def _storable(columns: Mapping[str, Any]) -> dict[str, Any]:
    # Names become part of the statement, so none but the known ones may pass.
    if unknown := sorted(set(columns) - CHANGEABLE):
        raise TypeError(f"messages have no changeable column {unknown[0]!r}")
    values = {name: _value(name, value) for name, value in columns.items()}
    if "content" in values:
        values["cjk"] = cjk.indexed(values["content"])
    return values


def _value(name: str, value: Any) -> Any:
    if name in JSON_COLUMNS:
        return to_json(value)
    return storable(value) if isinstance(value, str) else value
