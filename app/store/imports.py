"""Conversations from elsewhere on their way into the database.

A file is staged first: written whole, conversation by conversation, to a file of the data folder's `imports`. Only
what is staged completely is added, in transactions of a few messages, so that others write in between. A process
that dies while staging leaves nothing but a file that is removed at the next start; one that dies while adding has its
staged file added to the end then. What is there already is known by its ids, here or elsewhere, so adding twice changes
nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.store import cjk
from app.store.conversations import MAX_TAG, MAX_TAGS, MAX_TITLE
from app.store.errors import DiskRefused
from app.store.ids import RANDOM_BITS, IdSource, decode
from app.store.presets import Presets
from app.store.records import JSON_COLUMNS, Conversation, Message, Preset
from app.store.staging import PART, STAGED, Outcome, Staged, Staging, columns, read_staged
from app.store.text import storable, to_json

if TYPE_CHECKING:
    from app.store.database import Database

FOLDER = "imports"
UPLOADED = ".upload"
# Messages a transaction, and what is left to others between two: some milliseconds each on a slow disk.
PIECE = 100
PIECE_CHARACTERS = 200_000
PAUSE_SECONDS = 0.002

# What an id that is kept nowhere here begins with in `external_id`.
OWN = "fireside"

log = logging.getLogger(__name__)


class Imports:
    """Adds conversations from elsewhere to one database; finishes at once what an earlier process had staged.

    They become those of the owner they name, whoever that is; of `of(owner)`, that person's.
    """

    def __init__(self, database: Database, ids: IdSource, presets: Presets) -> None:
        self._database = database
        self._ids = ids
        self._presets = presets
        self._owner: str | None = None
        self._folder = database.path.parent / FOLDER
        self._lock = threading.Lock()
        for left in (*self._folder.glob(f"*{PART}"), *self._folder.glob(f"*{UPLOADED}")):
            left.unlink()
        for staged in sorted(self._folder.glob(f"*{STAGED}")):
            try:
                for _ in self._add_staged(staged):
                    pass
            except (ValueError, TypeError, KeyError) as error:
                log.warning("an import cannot be finished, its file is kept as %s.damaged: %s", staged, error)
                staged.replace(staged.with_name(f"{staged.name}.damaged"))

    def of(self, owner: str) -> Imports:
        """The same for one person."""
        theirs = copy(self)
        theirs._owner = owner
        return theirs

    def new_upload(self) -> Path:
        """An empty file for what somebody sends to be imported; whoever asked removes it. Raises DiskRefused."""
        path = self._folder / f"{self._ids.new()}{UPLOADED}"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            path.touch(mode=0o600, exist_ok=False)
        except OSError as error:
            raise DiskRefused(path, error) from None
        return path

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """A place for the conversations of one file; what is not committed at the end of the block is removed.

        Imports wait for each other. Raises DiskRefused.
        """
        with self._lock:
            path = self._folder / f"{self._ids.new()}{PART}"
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                with path.open("x", encoding="utf-8", newline="\n") as file:
                    yield Staging(path, file, self._add_staged, self._owner)
            except OSError as error:
                raise DiskRefused(path, error) from None
            finally:
                path.unlink(missing_ok=True)

    def add(
        self,
        conversation: Conversation,
        messages: Sequence[Message],
        tags: Sequence[str] = (),
        preset: Preset | None = None,
    ) -> Outcome:
        """Add a conversation, or to the one of the same owner and id those messages that it lacks.

        Ids and parents are those of the file; an id that was made by Fireside and is free stays, others are replaced
        and kept as external ids. Parents come before what follows them. Nothing is added to one in the trash. The
        current leaf moves only where nobody has gone on another way here.
        """
        if self._owner:
            conversation = replace(conversation, owner=self._owner)
        with self._database.write() as db:
            row = _present(db, conversation)
            if row and row["deleted_at"]:
                return Outcome(row["id"], row["title"], new=False, added=0, in_trash=True)
            id = row["id"] if row else self._insert(db, conversation, tags, preset)
            ids = _known(db, id, messages) if row else {}
            pieces = _pieces([message for message in messages if message.id not in ids]) or ([] if row else [[]])
            if pieces:
                self._insert_messages(db, id, pieces[0], ids)
            if len(pieces) == 1:
                _go_on(db, id, ids.get(conversation.current_message_id), conversation.updated_at)
        added = len(pieces[0]) if pieces else 0
        for piece in pieces[1:]:
            time.sleep(PAUSE_SECONDS)
            with self._database.write() as db:
                if not list(db.query("SELECT 1 FROM conversations WHERE id = ?", [id])):
                    break
                self._insert_messages(db, id, piece, ids)
                added += len(piece)
                if piece is pieces[-1]:
                    _go_on(db, id, ids.get(conversation.current_message_id), conversation.updated_at)
        return Outcome(id, row["title"] if row else conversation.title, new=row is None, added=added)

    def _insert_messages(self, db: Any, chat: str, messages: Sequence[Message], ids: dict[str | None, str]) -> None:
        rows = [self._message_row(db, message, chat, ids) for message in messages]
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            db.conn.executemany(
                f"INSERT INTO messages ({', '.join(rows[0])}) VALUES ({marks})", [list(row.values()) for row in rows]
            )

    def _insert(self, db: Any, conversation: Conversation, tags: Sequence[str], preset: Preset | None) -> str:
        id = self._kept(db, "conversations", conversation.id)
        values = _row(conversation, id=id, current_message_id=None, deleted_at=None)
        if id != conversation.id:
            values["external_id"] = values["external_id"] or f"{OWN}:{storable(conversation.id)}"
        values["title"] = " ".join(values["title"].split())[:MAX_TITLE]
        values["preset_id"] = self._presets.of(conversation.owner).restore(preset) if preset else None
        marks = ", ".join("?" * len(values))
        db.execute(f"INSERT INTO conversations ({', '.join(values)}) VALUES ({marks})", list(values.values()))
        for tag in tags[:MAX_TAGS]:
            if tag := " ".join(storable(tag).split())[:MAX_TAG]:
                db.execute("INSERT OR IGNORE INTO conversation_tags (conversation_id, tag) VALUES (?, ?)", [id, tag])
        return id

    def _message_row(self, db: Any, message: Message, chat: str, ids: dict[str | None, str]) -> dict[str, Any]:
        """The row of a message, whose new id is added to `ids`."""
        parent = ids.get(message.parent_id)
        id = self._kept(db, "messages", message.id, after=parent or "")
        ids[message.id] = id
        values = _row(message, id=id, conversation_id=chat, parent_id=parent, deleted_at=None)
        if id != message.id:
            values["external_id"] = values["external_id"] or storable(message.id)
        values["cjk"] = cjk.indexed(values["content"])
        return values

    def _kept(self, db: Any, table: str, id: str, after: str = "") -> str:
        """This id if Fireside made it, nobody has it, and it sorts after that one; otherwise a new one."""
        value = decode(id)
        if value is None or value >> RANDOM_BITS > time.time() * 1000 or id <= after:
            return self._ids.new()
        if list(db.query(f"SELECT 1 FROM {table} WHERE id = ?", [id])):
            return self._ids.new()
        self._ids.seen(id)
        return id

    def _add_staged(self, path: Path) -> Iterator[Outcome]:
        for group in _together(read_staged(path)):
            time.sleep(PAUSE_SECONDS)
            if len(group) == 1:
                yield self.add(*group[0])
            else:
                # Most of the time that a short chat takes is that of its transaction.
                with self._database.write():
                    outcomes = [self.add(*each) for each in group]
                yield from outcomes
        path.unlink()


def _together(staged: Iterable[Staged]) -> Iterator[list[Staged]]:
    """Chats that are short enough to be added in one transaction; a long one alone."""
    group: list[Staged] = []
    messages = characters = 0
    for each in staged:
        size = 1 + len(each.messages)
        length = sum(len(message.content) for message in each.messages)
        if group and (messages + size > PIECE or characters + length > PIECE_CHARACTERS):
            yield group
            group, messages, characters = [], 0, 0
        group.append(each)
        messages += size
        characters += length
    if group:
        yield group


def _present(db: Any, conversation: Conversation) -> dict[str, Any] | None:
    """The row of the conversation, or of the one that was made of it."""
    rows = db.query(
        """SELECT * FROM conversations WHERE (external_id IN (:external, :own) OR id = :id) AND owner IS :owner
           ORDER BY id LIMIT 1""",
        {
            "external": conversation.external_id,
            "own": f"{OWN}:{conversation.id}",
            "id": conversation.id,
            "owner": conversation.owner,
        },
    )
    return next(iter(rows), None)


def _known(db: Any, chat: str, messages: Sequence[Message]) -> dict[str | None, str]:
    """Of the messages that the conversation has already: their id in the file, and here."""
    here: dict[str | None, str] = {}
    for each in db.query("SELECT id, external_id FROM messages WHERE conversation_id = ?", [chat]):
        here |= {each["id"]: each["id"]} | ({each["external_id"]: each["id"]} if each["external_id"] else {})
    found = ((message.id, here.get(message.external_id) or here.get(message.id)) for message in messages)
    return {id: known for id, known in found if known}


def _pieces(messages: Sequence[Message]) -> list[list[Message]]:
    pieces: list[list[Message]] = []
    room = characters = 0
    for message in messages:
        if not room or characters > PIECE_CHARACTERS:
            pieces.append([])
            room, characters = PIECE, 0
        pieces[-1].append(message)
        room -= 1
        characters += len(message.content)
    return pieces


def _go_on(db: Any, id: str, leaf: str | None, updated_at: str) -> None:
    """Show the branch that ends in `leaf`, if that goes on from the one that is shown."""
    db.execute("UPDATE conversations SET updated_at = max(updated_at, ?) WHERE id = ?", [updated_at, id])
    db.execute(
        """UPDATE conversations SET current_message_id = :leaf WHERE id = :id AND :leaf IS NOT NULL
           AND (current_message_id IS NULL OR current_message_id IN (
               WITH RECURSIVE above (id) AS (
                   SELECT :leaf UNION
                   SELECT parent_id FROM messages JOIN above USING (id) WHERE parent_id IS NOT NULL)
               SELECT id FROM above))""",
        {"id": id, "leaf": leaf},
    )


def _row(record: Conversation | Message, **changed: Any) -> dict[str, Any]:
    values = columns(record) | changed
    for name, value in values.items():
        if name in JSON_COLUMNS:
            value = to_json(value) if value else "{}"
        values[name] = storable(value) if isinstance(value, str) else value
    return values
