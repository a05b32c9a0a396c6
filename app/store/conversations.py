"""Conversations: the trees that messages belong to."""

from __future__ import annotations

import builtins
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from app.store.errors import NotFound, StoreError
from app.store.events import CONFIGURE, Events
from app.store.ids import IdSource
from app.store.ownership import IS_OWNED, OWNED_CONVERSATION
from app.store.presets import plain_settings
from app.store.records import ContextPolicy, Conversation, TitleBy
from app.store.search import Filters, fts_query, matching
from app.store.text import now, storable, to_json

if TYPE_CHECKING:
    from app.store.database import Database

MAX_TITLE = 200
MAX_TAGS = 20
MAX_TAG = 40
SEARCH_DEPTH = 2_000
POLICIES = ("drop_oldest", "refuse")


class Conversations:
    """The conversations of one database.

    Every change of a conversation's own columns is written to the table `events` with the values before and
    after. Methods that take an id raise NotFound; those that take settings raise InvalidSampling. owner: see
    `Store.of`.
    """

    def __init__(self, database: Database, ids: IdSource, events: Events, owner: str | None = None) -> None:
        self._database = database
        self._ids = ids
        self._events = events
        self._owner = owner

    def create(
        self,
        *,
        title: str = "",
        title_by: TitleBy = "user",
        system_prompt: str = "",
        preset_id: str | None = None,
        settings: Mapping[str, Any] | None = None,
        context_policy: ContextPolicy = "drop_oldest",
    ) -> Conversation:
        """A new empty conversation; preset_id None means the default preset. StoreError for an unknown policy."""
        id, time = self._ids.new(), now()
        with self._database.write() as db:
            self._check_preset(db, preset_id)
            values = {
                "id": id,
                "owner": self._owner,
                "title": _title(title),
                "title_by": title_by,
                "created_at": time,
                "updated_at": time,
                "system_prompt": storable(system_prompt),
                "preset_id": preset_id,
                "settings": _settings(settings),
                "context_policy": _policy(context_policy),
            }
            marks = ", ".join(f":{name}" for name in values)
            db.execute(f"INSERT INTO conversations ({', '.join(values)}) VALUES ({marks})", values)
            return self.get(id)

    def get(self, id: str) -> Conversation:
        """Also one in the trash: its `deleted_at` is set."""
        with self._database.read() as db:
            rows = list(
                db.query(f"SELECT * FROM conversations WHERE id = ?1 AND {IS_OWNED}", [storable(id), self._owner])
            )
        if not rows:
            raise NotFound("conversation", id)
        return Conversation.from_row(rows[0])

    def present(self, id: str) -> Conversation:
        """The conversation, if it is not in the trash."""
        conversation = self.get(id)
        if conversation.deleted_at is not None:
            raise NotFound("conversation", id)
        return conversation

    def some(self, ids: Iterable[str]) -> builtins.list[Conversation]:
        """Those of these ids that are there, in their order; also some in the trash."""
        asked = [storable(id) for id in ids]
        with self._database.read() as db:
            rows = db.query(
                f"SELECT * FROM conversations WHERE id IN (SELECT value FROM json_each(?1)) AND {IS_OWNED}",
                [json.dumps(asked), self._owner],
            )
            found = {row["id"]: Conversation.from_row(row) for row in rows}
        return [found[id] for id in asked if id in found]

    def has(self, id: str) -> bool:
        """Whether `get` finds it."""
        try:
            self.get(id)
        except NotFound:
            return False
        return True

    def list(
        self,
        limit: int = 500,
        query: str = "",
        *,
        deleted: bool = False,
        archived: bool = False,
        filters: Filters | None = None,
        skip: int = 0,
    ) -> builtins.list[Conversation]:
        """Pinned ones first, then the most recently used; those in the trash or the archive only if asked for.

        skip: how many of the first to leave out. query: keep those whose title contains it, or that have a message
        with all its words among the newest 2,000 such messages (a word that is in every message must not make the list
        slow). filters: of the conversation, and of its messages with the words; titles do not count where messages are
        asked for.
        """
        filters = replace(filters or Filters(), owner=self._owner or "")
        conditions, values = filters.of_conversations()
        conditions += f" AND deleted_at {'IS NOT NULL' if deleted else f'IS NULL AND archived = {int(archived)}'}"
        if query.strip():
            of_messages, more = filters.conditions()
            either = [] if filters.of_messages else ["instr(casefold(title), casefold(:query)) > 0"]
            if words := fts_query(query):
                matches, values_of_matches = matching(words, SEARCH_DEPTH, filters)
                either.append(
                    f"id IN (SELECT m.conversation_id FROM messages m WHERE m.deleted_at IS NULL {of_messages} "
                    f"AND m.rowid IN ({matches}))"
                )
                more |= values_of_matches
            conditions += f" AND ({' OR '.join(either) or 'FALSE'})"
            values |= more | {"query": " ".join(storable(query).split())}
        with self._database.read() as db:
            rows = db.query(
                f"""SELECT * FROM conversations WHERE TRUE {conditions}
                    ORDER BY pinned DESC, updated_at DESC, id DESC LIMIT :limit OFFSET :skip""",
                values | {"limit": limit, "skip": skip},
            )
            return [Conversation.from_row(row) for row in rows]

    def ids(self, query: str = "", filters: Filters | None = None) -> builtins.list[str]:
        """Of all conversations that are not in the trash, archived ones too; see `list` for query and filters."""
        return [
            each.id
            for archived in (False, True)
            for each in self.list(sys.maxsize, query, archived=archived, filters=filters)
        ]

    def rename(self, id: str, title: str) -> Conversation:
        """Give it the user's title, one line of at most 200 characters; what is longer is cut."""
        return self._change("rename", id, title=_title(title), title_by="user")

    def suggest_title(self, id: str, title: str, title_by: TitleBy) -> Conversation:
        """Give it a title that nobody asked for, unless it has one by the user."""
        with self._database.write() as db:
            self.get(id)
            db.execute(
                "UPDATE conversations SET title = ?, title_by = ? WHERE id = ? AND (title_by != 'user' OR title = '')",
                [_title(title), title_by, storable(id)],
            )
            return self.get(id)

    def pin(self, id: str, pinned: bool = True) -> Conversation:
        return self._change("pin", id, pinned=int(pinned))

    def archive(self, id: str, archived: bool = True) -> Conversation:
        """Take it out of the list, and back into it; it is searched all the same."""
        return self._change("archive", id, archived=int(archived))

    def tags(self, id: str) -> builtins.list[str]:
        """Its tags, in order of the alphabet."""
        with self._database.read() as db:
            rows = db.query(
                f"""SELECT tag FROM conversation_tags
                    WHERE conversation_id = ?1 AND {OWNED_CONVERSATION} ORDER BY tag""",
                [storable(id), self._owner],
            )
            return [row["tag"] for row in rows]

    def tags_of(self, ids: builtins.list[str]) -> dict[str, builtins.list[str]]:
        """The tags of many conversations at once; those without any are left out."""
        tags: dict[str, builtins.list[str]] = {}
        with self._database.read() as db:
            rows = db.query(
                f"""SELECT conversation_id, tag FROM conversation_tags
                    WHERE conversation_id IN (SELECT value FROM json_each(?1)) AND {OWNED_CONVERSATION} ORDER BY tag""",
                [json.dumps(ids), self._owner],
            )
            for row in rows:
                tags.setdefault(row["conversation_id"], []).append(row["tag"])
        return tags

    def all_tags(self) -> dict[str, int]:
        """Every tag that is in use, and how many conversations have it; without those in the trash."""
        with self._database.read() as db:
            rows = db.query(
                """SELECT tag, count(*) AS count FROM conversation_tags JOIN conversations ON id = conversation_id
                   WHERE deleted_at IS NULL AND (?1 IS NULL OR owner = ?1) GROUP BY tag ORDER BY tag""",
                [self._owner],
            )
            return {row["tag"]: row["count"] for row in rows}

    def tag(self, id: str, tags: Iterable[str]) -> builtins.list[str]:
        """Give it these tags and no others; what they are then. Case does not tell tags apart.

        Raises StoreError for more than 20 tags, and for one with more than 40 characters.
        """
        given = {tag.casefold(): tag for tag in (" ".join(storable(tag).split()) for tag in tags) if tag}
        if len(given) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in given.values()):
            raise StoreError(f"a chat has at most {MAX_TAGS} tags of at most {MAX_TAG} characters each")
        with self._database.write() as db:
            self.get(id)
            db.execute("DELETE FROM conversation_tags WHERE conversation_id = ?", [id])
            for tag in given.values():
                db.execute("INSERT OR IGNORE INTO conversation_tags (conversation_id, tag) VALUES (?, ?)", [id, tag])
            return self.tags(id)

    def delete(self, id: str) -> Conversation:
        """Put it into the trash, from which `restore` takes it; deleting it again changes nothing."""
        conversation = self.get(id)
        return conversation if conversation.deleted_at else self._change("delete", id, deleted_at=now())

    def restore(self, id: str) -> Conversation:
        return self._change("restore", id, deleted_at=None)

    def configure(
        self,
        id: str,
        *,
        system_prompt: str,
        preset_id: str | None,
        settings: Mapping[str, Any],
        context_policy: ContextPolicy | None = None,
    ) -> Conversation:
        """Set what the next answers are made with; a policy of None stays. StoreError for an unknown policy."""
        changes: dict[str, Any] = {
            "system_prompt": storable(system_prompt),
            "preset_id": preset_id,
            "settings": _settings(settings),
        }
        if context_policy is not None:
            changes["context_policy"] = _policy(context_policy)
        return self._change(CONFIGURE, id, **changes)

    def reset(self, id: str) -> Conversation:
        """Drop its own settings, so that those of its preset hold."""
        return self._change(CONFIGURE, id, settings="{}")

    def select(self, id: str, message_id: str) -> Conversation:
        """Make a message the current leaf, so that the path ends with it; it must belong to the
        conversation."""
        with self._database.write() as db:
            self.get(id)
            message_id = storable(message_id)
            found = "SELECT 1 FROM messages WHERE id = ? AND conversation_id = ? AND deleted_at IS NULL"
            if not list(db.query(found, [message_id, id])):
                raise NotFound("message", message_id)
            db.execute("UPDATE conversations SET current_message_id = ? WHERE id = ?", [message_id, id])
            return self.get(id)

    def mark(self, id: str, external_id: str) -> None:
        """Give it an id by which `marked` finds it; it had better not look like one of an imported conversation."""
        with self._database.write() as db:
            self.get(id)
            db.execute("UPDATE conversations SET external_id = ? WHERE id = ?", [storable(external_id), storable(id)])

    def marked(self, start: str) -> Conversation | None:
        """The newest whose mark begins so, if there is one that is not in the trash."""
        with self._database.read() as db:
            # A range, which the index has; what follows the last letter is beyond all that begins so.
            rows = db.query(
                f"""SELECT * FROM conversations WHERE external_id >= ?1 AND external_id < ?3 AND deleted_at IS NULL
                    AND {IS_OWNED} ORDER BY id DESC LIMIT 1""",
                [start, self._owner, start[:-1] + chr(ord(start[-1]) + 1)],
            )
            return next((Conversation.from_row(row) for row in rows), None)

    def _change(self, kind: str, id: str, **changes: Any) -> Conversation:
        with self._database.write() as db:
            self.get(id)
            self._check_preset(db, changes.get("preset_id"))
            before = next(iter(db.query("SELECT * FROM conversations WHERE id = ?", [id])))
            before = {name: before[name] for name in changes}
            if before != changes:
                assignments = ", ".join(f"{name} = ?" for name in changes)
                db.execute(f"UPDATE conversations SET {assignments} WHERE id = ?", [*changes.values(), id])
                (self._events.extend if kind == CONFIGURE else self._events.add)(kind, id, before, changes)
            return self.get(id)

    def _check_preset(self, db: Any, preset_id: str | None) -> None:
        found = f"SELECT 1 FROM presets WHERE id = ?1 AND (builtin OR {IS_OWNED})"
        if preset_id is not None and not list(db.query(found, [storable(preset_id), self._owner])):
            raise NotFound("preset", preset_id)


def _title(title: str) -> str:
    return " ".join(storable(title).split())[:MAX_TITLE]


def _settings(settings: Mapping[str, Any] | None) -> str:
    return to_json(plain_settings(settings or {})) or "{}"


def _policy(policy: str) -> str:
    if policy not in POLICIES:
        raise StoreError(f"a context policy is {' or '.join(POLICIES)}, not {policy!r:.40}")
    return policy
