"""The conversations of one file, written down before any of them is added: a line of JSON each."""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from app.store.backup import flush
from app.store.errors import DiskRefused
from app.store.records import Conversation, Message, Preset, column_names
from app.store.text import storable
from app.store.tokens import TokenLog

STAGED, PART = ".jsonl", ".part"
BLOBS = ("token_ids", "token_logprobs")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
INTEGERS = 2**63
CONVERSATION, MESSAGE = TypeAdapter(Conversation), TypeAdapter(Message)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What adding a conversation did. new: it was not there before. added: messages."""

    conversation_id: str
    title: str
    new: bool
    added: int
    in_trash: bool = False


class Staged(NamedTuple):
    """A conversation on its way. Ids and parents are those of the file; a parent comes before what follows it."""

    conversation: Conversation
    messages: Sequence[Message]
    tags: Sequence[str] = ()
    preset: Preset | None = None


class Staging:
    """The conversations of one file before they are added."""

    def __init__(
        self, path: Path, file: Any, add: Callable[[Path], Iterator[Outcome]], owner: str | None = None
    ) -> None:
        self._owner = owner
        self._path = path
        self._file = file
        self._add = add

    def put(
        self,
        conversation: Conversation,
        messages: Sequence[Message],
        tags: Sequence[str] = (),
        preset: Preset | None = None,
    ) -> None:
        """Keep a conversation. ValueError for what cannot be stored, in one line; DiskRefused."""
        _check(conversation, messages)
        values = {
            "conversation": columns(conversation) | ({"owner": self._owner} if self._owner else {}),
            "messages": [_without_blobs(columns(each)) for each in messages],
            "tags": list(tags),
            "preset": asdict(preset) if preset else None,
        }
        line = storable(json.dumps(values, ensure_ascii=False, allow_nan=False)) + "\n"
        try:
            self._file.write(line)
        except OSError as error:
            raise DiskRefused(self._path, error) from None

    def commit(self) -> Iterator[Outcome]:
        """Add them; what each one did. From the first step on they will be added, by the next start if need be."""
        self._file.flush()
        os.fsync(self._file.fileno())
        staged = self._path.with_suffix(STAGED)
        self._path.rename(staged)
        flush(staged.parent)
        yield from self._add(staged)


def read_staged(path: Path) -> Iterator[Staged]:
    """What was put into a file; raises ValueError, TypeError or KeyError for one that is damaged."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            values = json.loads(line)
            messages = [Message(**_with_blobs(each)) for each in values["messages"]]
            preset = Preset(**values["preset"]) if values["preset"] else None
            yield Staged(Conversation(**values["conversation"]), messages, values["tags"], preset)


def columns(record: Conversation | Message) -> dict[str, Any]:
    """Unlike `asdict` without copies of what is in the JSON columns, which take longer than anything else here."""
    return {name: getattr(record, name) for name in column_names(type(record))}


def _check(conversation: Conversation, messages: Sequence[Message]) -> None:
    _check_types(CONVERSATION, conversation)
    before: set[str | None] = {None}
    for message in messages:
        _check_types(MESSAGE, message)
        if message.id in before:
            raise ValueError(f"two of its messages have the id {message.id!r:.60}")
        if message.parent_id not in before:
            raise ValueError(f"what the message {message.id!r:.60} follows does not stand before it")
        before.add(message.id)
        if message.token_ids or message.token_logprobs:
            TokenLog.resumed(message.token_ids or b"", message.token_logprobs or b"")
    if conversation.current_message_id not in before:
        raise ValueError("its last message is not among its messages")


def _check_types(adapter: TypeAdapter[Any], record: Conversation | Message) -> None:
    values = columns(record)
    try:
        adapter.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for name, value in values.items():
        if isinstance(value, int):
            if abs(value) >= INTEGERS:
                raise ValueError(f"{name} has more than 63 bits")
        elif name in ("created_at", "updated_at") and not TIME.fullmatch(value):
            raise ValueError(f"{name} is no time: {value!r:.60}")


def _without_blobs(values: dict[str, Any]) -> dict[str, Any]:
    return values | {name: b64encode(values[name]).decode("ascii") for name in BLOBS if values[name] is not None}


def _with_blobs(values: dict[str, Any]) -> dict[str, Any]:
    return values | {name: b64decode(values[name]) for name in BLOBS if values[name] is not None}
