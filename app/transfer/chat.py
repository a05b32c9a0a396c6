"""A conversation as it is moved: with all branches, its tags and its preset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from app.store import Conversation, Message, Preset, Store
from app.store.presets import plain_settings
from app.store.records import column_names
from app.transfer.source import ImportRefused, Source
from engine.errors import InvalidSampling


@dataclass(frozen=True, slots=True)
class Chat:
    """messages: of every branch, those in the trash left out; a parent stands before what follows it.

    left_out: of one that is read from a file, what of it has no place here, in words.
    """

    conversation: Conversation
    messages: tuple[Message, ...]
    tags: tuple[str, ...] = ()
    preset: Preset | None = None
    left_out: tuple[str, ...] = ()

    @property
    def path(self) -> list[Message]:
        """The branch that is shown."""
        return self.path_to(self.conversation.current_message_id)

    @property
    def branches(self) -> list[list[Message]]:
        """Every branch from its root to its last message, the oldest last message first."""
        parents = {message.parent_id for message in self.messages}
        return [self.path_to(message.id) for message in self.messages if message.id not in parents]

    @property
    def children(self) -> dict[str | None, list[Message]]:
        """The messages below each message that has any, and below None those at the root; oldest first."""
        children: dict[str | None, list[Message]] = {}
        for message in self.messages:
            children.setdefault(message.parent_id, []).append(message)
        return children

    def path_to(self, leaf_id: str | None) -> list[Message]:
        """From the root to a message; empty for one that is not here."""
        by_id = {message.id: message for message in self.messages}
        path = []
        # Taking each out ends the walk even if another tool has bent the tree into a circle.
        while leaf_id is not None and (message := by_id.pop(leaf_id, None)):
            path.append(message)
            leaf_id = message.parent_id
        return path[::-1]


def collect(store: Store, ids: Iterable[str]) -> Iterator[Chat]:
    """The conversations with these ids, read one after the other; raises NotFound for one that is not there."""
    for id in ids:
        conversation = store.conversations.get(id)
        preset = None if conversation.preset_id is None else store.presets.get(conversation.preset_id)
        yield Chat(conversation, tuple(store.messages.tree(id)), tuple(store.conversations.tags(id)), preset)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A conversation of a file that is not imported. what: its title or place in the file."""

    what: str
    why: str


def new_conversation(source: str, external_id: str, /, **columns: Any) -> Conversation:
    """A conversation of a file. source: the format, which keeps its ids apart from those of others."""
    start = iso(None)
    values: dict[str, Any] = dict.fromkeys(column_names(Conversation)) | {
        "id": external_id,
        "external_id": f"{source}:{external_id}",
        "title": "",
        "created_at": start,
        "updated_at": columns.get("created_at", start),
        "pinned": False,
        "archived": False,
        "system_prompt": "",
        "settings": {},
        "context_policy": "drop_oldest",
        "title_by": "user",
    }
    return Conversation(**values | columns)


def new_message(conversation: Conversation, external_id: str, /, **columns: Any) -> Message:
    """A message of a file; role, content and parent_id, an id of the same file, are among the columns."""
    values: dict[str, Any] = dict.fromkeys(column_names(Message)) | {
        "id": external_id,
        "external_id": external_id,
        "conversation_id": conversation.id,
        "content": "",
        "created_at": conversation.created_at,
        "status": "complete",
        "settings": {},
        "engine": {},
        "edited": False,
        "extra": {},
    }
    return Message(**values | columns)


def iso(seconds: object) -> str:
    """Seconds since 1970 as the store writes a time; the beginning of 1970 for what is no such number."""
    try:
        time = datetime.fromtimestamp(float(seconds), UTC)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        time = datetime.fromtimestamp(0, UTC)
    return time.isoformat(timespec="milliseconds")


def seconds(value: object) -> float | None:
    """A time of a file, a number or ISO 8601, in seconds since 1970; None for anything else."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            value = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        elif isinstance(value, bool):
            return None
        number = float(value)  # type: ignore[arg-type]
        datetime.fromtimestamp(number, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return number


def by_id(found: Iterable[tuple[str, dict[str, Any]]], source: Source) -> dict[str, dict[str, Any]]:
    """Messages by their ids; raises ImportRefused where two have the same."""
    messages: dict[str, dict[str, Any]] = {}
    for id, message in found:
        if id in messages:
            raise two_messages(id, source)
        messages[id] = message
    return messages


def two_messages(id: str, source: Source) -> ImportRefused:
    """What is said of a chat in which two messages have the same id: to which one others belong, nobody knows."""
    return ImportRefused(f"{source.name:.100} has two messages with the id {id!r:.60} in one chat")


def text_of(value: object) -> str:
    """The value if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def dict_of(value: object) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """The value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def digest(value: object) -> str:
    """32 hexadecimal digits of a JSON value: the external id of what has no id."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:32]


def kept(**raw: object) -> dict[str, Any]:
    """A message's `extra` with what of the file has no column here; empty values are left out."""
    filled = {name: each for name, each in raw.items() if each not in (None, [], {}, "", False)}
    return {"imported": filled} if filled else {}


def with_conversation(chat: Chat, **raw: object) -> Chat:
    """The chat with what its conversation has no column for kept at its first message."""
    added = kept(**raw)
    if not added or not chat.messages:
        return chat
    first = chat.messages[0]
    imported = first.extra.get("imported", {}) | {"conversation": added["imported"]}
    return replace(chat, messages=(replace(first, extra=first.extra | {"imported": imported}), *chat.messages[1:]))


def sound_settings(given: object) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Settings of a conversation if they are sound, else none, and what was left out, in words."""
    try:
        return plain_settings(dict_of(given)), ()
    except InvalidSampling as error:
        return {}, (f"settings ({error})",)
