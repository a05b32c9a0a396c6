"""Fireside's own JSON: conversations with everything that is kept of them. docs/transfer.md describes it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from app.store import Message, Preset
from app.store.text import now
from app.transfer.chat import Chat

FORMAT = "fireside"
VERSION = 1


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
    lines = ",\n".join(_line(asdict(presets[id])) for id in sorted(presets))
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


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False)
