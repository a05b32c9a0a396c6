"""Fireside's own JSON: conversations with everything that is kept of them. docs/transfer.md describes it."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from app.store import Conversation, Message, Preset, StoreError
from app.store.presets import plain_settings
from app.store.records import column_names
from app.store.text import now
from app.transfer.chat import Chat, Skipped, by_id, new_conversation, new_message, sound_settings, text_of
from app.transfer.source import ImportRefused, Source
from engine.errors import InvalidSampling

FORMAT = "fireside"
VERSION = 1
WRITTEN_VERSION = re.compile(rb'"version"\s*:\s*(\d{1,9})')
BLOBS = ("token_ids", "token_logprobs")


def write(chats: Iterable[Chat], all_branches: bool = True) -> Iterator[str]:
    """One JSON object, with a line for each conversation and preset; all branches are in it in any case."""
    presets: dict[str, Preset] = {}
    yield f'{{"format": "{FORMAT}", "version": {VERSION}, "exported_at": "{now()}",\n"conversations": ['
    separator = "\n"
    for chat in chats:
        if chat.preset:
            presets[chat.preset.id] = chat.preset
        yield separator + _line(_chat(chat))
        separator = ",\n"
    lines = ",\n".join(_line(_preset(presets[id])) for id in sorted(presets))
    yield f'\n],\n"presets": [\n{lines}\n]}}\n'


def _chat(chat: Chat) -> dict[str, Any]:
    values = asdict(chat.conversation)
    # Those of the trash are never exported as such: what is exported is there again where it is imported.
    del values["deleted_at"]
    return values | {"tags": list(chat.tags), "messages": [_message(message) for message in chat.messages]}


def _message(message: Message) -> dict[str, Any]:
    values = asdict(message)
    for name in ("conversation_id", "deleted_at"):
        del values[name]
    return {
        name: b64encode(value).decode("ascii") if isinstance(value, bytes) else value for name, value in values.items()
    }


def _preset(preset: Preset) -> dict[str, Any]:
    values = asdict(preset)
    if preset.builtin:
        # It comes with Fireside; when that was is each data folder's own.
        del values["created_at"], values["updated_at"]
    return values


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def recognises(value: dict[str, Any]) -> bool:
    """Whether a value is a conversation as `write` writes it."""
    return isinstance(value.get("messages"), list) and "context_policy" in value and "current_message_id" in value


def read(values: Iterable[Any], source: Source) -> Iterator[Chat | Skipped]:
    """The conversations among the values of a file. Raises ImportRefused for a version that is not known."""
    version = WRITTEN_VERSION.search(source.beginning(4096))
    if version and int(version[1]) > VERSION:
        raise ImportRefused(
            f"{source.name:.100} has version {int(version[1])} of Fireside's format, this one reads up to {VERSION}: "
            "update Fireside"
        )
    presets = {}
    for value in source.unnoticed().elements("presets.item", 2):
        if isinstance(value, dict) and isinstance(value.get("id"), str):
            presets[value["id"]] = value
    for number, value in enumerate(values, 1):
        try:
            _check_ids(value, source)
            yield _read(value, presets)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            title = text_of(value.get("title")) if isinstance(value, dict) else ""
            yield Skipped(title or f"number {number} of {source.stem}", f"not as Fireside writes it ({error!s:.100})")


def _check_ids(value: Any, source: Source) -> None:
    given = (each for each in value["messages"] if isinstance(each, dict) and isinstance(each.get("id"), str))
    by_id(((each["id"], each) for each in given), source)


def _read(value: dict[str, Any], presets: Mapping[str, dict[str, Any]]) -> Chat:
    conversation = new_conversation(FORMAT, value["id"], **_columns(value, Conversation) | {"deleted_at": None})
    messages = tuple(_read_message(conversation, each) for each in value["messages"])
    settings, refused = sound_settings(conversation.settings)
    conversation = replace(conversation, settings=settings)
    left_out = list(refused)
    preset = None
    if conversation.preset_id is not None:
        try:
            given = presets[conversation.preset_id]
            times = {"created_at": conversation.created_at, "updated_at": conversation.created_at, "builtin": False}
            preset = Preset(**times | _columns(given, Preset))
            if not all(isinstance(each, str) for each in (preset.name, preset.created_at, preset.updated_at)):
                raise TypeError("a name and times are text")
            plain_settings(preset.settings)
        except (InvalidSampling, StoreError, AttributeError, TypeError, KeyError) as error:
            left_out.append(f"its preset ({error})")
            preset = None
    tags = value.get("tags")
    return Chat(
        conversation,
        messages,
        tuple(each for each in tags if isinstance(each, str)) if isinstance(tags, list) else (),
        preset,
        tuple(left_out),
    )


def _read_message(conversation: Conversation, value: dict[str, Any]) -> Message:
    given = _columns(value, Message)
    given |= {name: b64decode(given[name], validate=True) for name in BLOBS if given.get(name) is not None}
    if given.get("status") == "streaming":
        given["status"] = "interrupted"
    # Ids of elsewhere are those of the first import; a message that was written here has none.
    return new_message(conversation, value["id"], **{"external_id": None} | given | {"deleted_at": None})


def _columns(value: dict[str, Any], record: type[Conversation | Message | Preset]) -> dict[str, Any]:
    return {name: value[name] for name in column_names(record) if name in value}
