"""Conversations: the trees that messages belong to."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.store.errors import NotFound
from app.store.ids import IdSource
from app.store.presets import plain_settings
from app.store.records import Conversation
from app.store.search import fts_query
from app.store.text import now, storable, to_json

if TYPE_CHECKING:
    from app.store.database import Database

MAX_TITLE = 200
SEARCH_DEPTH = 5_000


class Conversations:
    """The conversations of one database.

    Every change of a conversation's own columns is written to the table `events` with the values before and
    after. Methods that take an id raise NotFound; those that take settings raise InvalidSampling.
    """

    def __init__(self, database: Database, ids: IdSource) -> None:
        self._database = database
        self._ids = ids

    def create(
        self,
        *,
        title: str = "",
        system_prompt: str = "",
        preset_id: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Conversation:
        """A new empty conversation; preset_id None means the default preset."""
        id, time = self._ids.new(), now()
        with self._database.write() as db:
            _check_preset(db, preset_id)
            db.execute(
                """INSERT INTO conversations
                       (id, title, created_at, updated_at, system_prompt, preset_id, settings)
                   VALUES (?, ?, ?, ?, ?, ?, ?)""",
                (id, _title(title), time, time, storable(system_prompt), preset_id, _settings(settings)),
            )
            return self.get(id)

    def get(self, id: str) -> Conversation:
        """Also one in the trash: its `deleted_at` is set."""
        with self._database.read() as db:
            rows = list(db.query("SELECT * FROM conversations WHERE id = ?", [storable(id)]))
        if not rows:
            raise NotFound("conversation", id)
        return Conversation.from_row(rows[0])

    def list(self, limit: int = 500, query: str = "", *, deleted: bool = False) -> builtins.list[Conversation]:
        """Pinned ones first, then the most recently used; those in the trash only with `deleted`.

        query: keep those whose title contains it, or that have a message with all its words among the newest
        5,000 such messages (a word that is in every message must not make the list slow).
        """
        trash = "IS NOT NULL" if deleted else "IS NULL AND archived = 0"
        condition, values = "", {"limit": limit}
        if query.strip():
            condition = "AND (instr(casefold(title), casefold(:query)) > 0"
            values |= {"query": " ".join(storable(query).split())}
            if words := fts_query(query):
                condition += """ OR id IN (
                    SELECT conversation_id FROM messages WHERE rowid IN (
                        SELECT rowid FROM messages_fts WHERE messages_fts MATCH :words
                        ORDER BY rowid DESC LIMIT :depth))"""
                values |= {"words": words, "depth": SEARCH_DEPTH}
            condition += ")"
        with self._database.read() as db:
            rows = db.query(
                f"""SELECT * FROM conversations WHERE deleted_at {trash} {condition}
                    ORDER BY pinned DESC, updated_at DESC, id DESC LIMIT :limit""",
                values,
            )
            return [Conversation.from_row(row) for row in rows]

    def rename(self, id: str, title: str) -> Conversation:
        """Titles are one line of at most 200 characters; what is longer is cut."""
        return self._change("rename", id, title=_title(title))

    def pin(self, id: str, pinned: bool = True) -> Conversation:
        return self._change("pin", id, pinned=int(pinned))

    def delete(self, id: str) -> Conversation:
        """Put it into the trash, from which `restore` takes it; deleting it again changes nothing."""
        conversation = self.get(id)
        return conversation if conversation.deleted_at else self._change("delete", id, deleted_at=now())

    def restore(self, id: str) -> Conversation:
        return self._change("restore", id, deleted_at=None)

    def configure(
        self, id: str, *, system_prompt: str, preset_id: str | None, settings: Mapping[str, Any]
    ) -> Conversation:
        """Set what the next answers are made with."""
        changes = {
            "system_prompt": storable(system_prompt),
            "preset_id": preset_id,
            "settings": _settings(settings),
        }
        return self._change("configure", id, **changes)

    def select(self, id: str, message_id: str) -> Conversation:
        """Make a message the current leaf, so that the path ends with it; it must belong to the
        conversation."""
        with self._database.write() as db:
            self.get(id)
            message_id = storable(message_id)
            found = "SELECT 1 FROM messages WHERE id = ? AND conversation_id = ?"
            if not list(db.query(found, [message_id, id])):
                raise NotFound("message", message_id)
            db.execute("UPDATE conversations SET current_message_id = ? WHERE id = ?", [message_id, id])
            return self.get(id)

    def _change(self, kind: str, id: str, **changes: Any) -> Conversation:
        with self._database.write() as db:
            self.get(id)
            _check_preset(db, changes.get("preset_id"))
            before = next(iter(db.query("SELECT * FROM conversations WHERE id = ?", [id])))
            before = {name: before[name] for name in changes}
            if before != changes:
                assignments = ", ".join(f"{name} = ?" for name in changes)
                db.execute(f"UPDATE conversations SET {assignments} WHERE id = ?", [*changes.values(), id])
                db.execute(
                    """INSERT INTO events (id, created_at, kind, conversation_id, before, after)
                       VALUES (?, ?, ?, ?, ?, ?)""",
                    (self._ids.new(), now(), kind, id, to_json(before), to_json(changes)),
                )
            return self.get(id)


def _check_preset(db: Any, preset_id: str | None) -> None:
    if preset_id is not None and not list(db.query("SELECT 1 FROM presets WHERE id = ?", [storable(preset_id)])):
        raise NotFound("preset", preset_id)


def _title(title: str) -> str:
    return " ".join(storable(title).split())[:MAX_TITLE]


def _settings(settings: Mapping[str, Any] | None) -> str:
    return to_json(plain_settings(settings or {})) or "{}"
