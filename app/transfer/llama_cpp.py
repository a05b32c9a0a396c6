"""A conversation as llama.cpp's web page keeps it: JSON lines, of which the first is the session.

What that page has no place for stands in lines of a type of our own, `generation`, which it leaves aside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from app.store import Message
from app.transfer.chat import Chat

HARNESS = "fireside"
TIMINGS = {
    "cache_n": "cached_tokens",
    "prompt_n": "prompt_tokens",
    "prompt_ms": "prefill_ms",
    "predicted_n": "new_tokens",
    "predicted_ms": "decode_ms",
}
GENERATION = ("status", "finish_reason", "model_digest", "settings", "seed", "engine", "edited")


def write(chats: Iterable[Chat], all_branches: bool = True) -> Iterator[str]:
    """The lines of one conversation; all branches are in it in any case."""
    for chat in chats:
        for record in _records(chat):
            yield json.dumps(record, ensure_ascii=False) + "\n"


def _records(chat: Chat) -> Iterator[dict[str, Any]]:
    conversation, children = chat.conversation, chat.children
    root, system = f"{conversation.id}-root", f"{conversation.id}-system"
    top = system if conversation.system_prompt else root
    yield {
        "harness": HARNESS,
        "type": "session",
        "id": conversation.id,
        "name": conversation.title,
        "lastModified": _milliseconds(conversation.updated_at),
        "currNode": conversation.current_message_id or top,
        "pinned": conversation.pinned,
    }
    below = [message.id for message in children.get(None, [])]
    start = {"convId": conversation.id, "role": "system", "timestamp": _milliseconds(conversation.created_at)}
    yield _line(start | {"id": root, "type": "root", "content": "", "parent": None,
                         "children": [system] if top == system else below})  # fmt: skip
    if top == system:
        yield _line(start | {"id": system, "type": "text", "content": conversation.system_prompt, "parent": root,
                             "children": below})  # fmt: skip
    for message in chat.messages:
        yield _line(_message(message, message.parent_id or top, [each.id for each in children.get(message.id, [])]))
        if message.role == "assistant":
            yield {"type": "generation", "id": message.id} | {name: getattr(message, name) for name in GENERATION}


def _message(message: Message, parent: str, children: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": message.id,
        "convId": message.conversation_id,
        "type": "text",
        "timestamp": _milliseconds(message.created_at),
        "role": message.role,
        "content": message.content,
        "parent": parent,
        "children": children,
    }
    if message.reasoning:
        values["reasoningContent"] = message.reasoning
    if message.model:
        values["model"] = message.model
    if message.new_tokens:
        values["timings"] = {name: getattr(message, column) for name, column in TIMINGS.items()}
    return values


def _line(message: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "message": message}


def _milliseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
