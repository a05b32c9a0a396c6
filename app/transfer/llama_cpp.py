"""A conversation as llama.cpp's web page keeps it: JSON lines, of which the first is the session.

What that page has no place for stands in lines of two types of our own, which it leaves aside: `conversation` and
`generation`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeGuard, get_args

from app.store import Message
from app.store.records import InContext, Status
from app.transfer.chat import (
    Chat,
    Skipped,
    by_id,
    dict_of,
    iso,
    kept,
    list_of,
    new_conversation,
    new_message,
    seconds,
    sound_settings,
    text_of,
    two_messages,
)
from app.transfer.left_out import CONTEXT, EDITED, ENDING, FIGURES, MADE_WITH
from app.transfer.source import MAX_WEIGHT, ImportRefused, Source
from app.transfer.tree import arranged, newest_leaf

SOURCE = "llama.cpp"

HARNESS = "fireside"
TIMINGS = {
    "cache_n": "cached_tokens",
    "prompt_n": "prompt_tokens",
    "prompt_ms": "prefill_ms",
    "predicted_n": "new_tokens",
    "predicted_ms": "decode_ms",
}
GENERATION = (
    *("status", "finish_reason", "model_digest", "settings", "seed", "engine", "edited"),
    *("queue_ms", "ttft_ms", "context"),
)
OWN_RECORDS = frozenset({ENDING, FIGURES, MADE_WITH, EDITED, CONTEXT})


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
    yield {
        "type": "conversation",
        "id": conversation.id,
        "created_at": conversation.created_at,
        "archived": conversation.archived,
        "tags": list(chat.tags),
        "settings": conversation.settings,
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
        if message.role == "assistant" or message.context or message.edited:
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


def recognises(value: dict[str, Any]) -> bool:
    """Whether a line begins a session."""
    return value.get("type") == "session" and isinstance(value.get("id"), str)


def read(values: Iterable[Any], source: Source) -> Iterator[Chat | Skipped]:
    """The sessions of a file; lines of an unknown type are left aside."""
    session: dict[str, Any] = {}
    messages: dict[str, dict[str, Any]] = {}
    generations: dict[str, dict[str, Any]] = {}
    own: dict[str, Any] = {}
    weight = 0
    for value in values:
        if not isinstance(value, dict):
            continue
        if recognises(value):
            if session:
                yield _chat(session, messages, generations, own)
            session, messages, generations, own, weight = value, {}, {}, {}, 0
        message, id = value.get("message"), value.get("id")
        if value.get("type") == "message" and isinstance(message, dict) and isinstance(message.get("id"), str):
            if message["id"] in messages:
                raise two_messages(message["id"], source)
            messages[message["id"]] = message
            weight += len(text_of(message.get("content"))) + 1000
            if weight > MAX_WEIGHT:
                raise ImportRefused(f"{source.name:.100} has a chat that needs more than {MAX_WEIGHT >> 20} MB")
        elif value.get("type") == "generation" and isinstance(id, str) and id in messages:
            generations[id] = value
        elif value.get("type") == "conversation" and id == session.get("id"):
            own = value
    if session:
        yield _chat(session, messages, generations, own)


def recognises_older(value: dict[str, Any]) -> bool:
    """Whether a value is a conversation as earlier versions have exported it: `conv`, and all its `messages`."""
    return isinstance(dict_of(value.get("conv")).get("id"), str) and isinstance(value.get("messages"), list)


def read_older(values: Iterable[Any], source: Source) -> Iterator[Chat | Skipped]:
    """The conversations among the values of a file."""
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict) or not recognises_older(value):
            yield Skipped(f"number {number} of {source.stem}", "it has no messages (no `conv`)")
            continue
        messages = by_id(
            ((id, each) for each in map(dict_of, value["messages"]) if (id := text_of(each.get("id")))), source
        )
        yield _chat(value["conv"], messages, {}, {})


def _chat(
    session: dict[str, Any],
    messages: dict[str, dict[str, Any]],
    generations: dict[str, dict[str, Any]],
    own: dict[str, Any],
) -> Chat | Skipped:
    times = {id: _seconds(message.get("timestamp")) for id, message in messages.items()}
    parents = {id: parent if isinstance(parent := message.get("parent"), str) else None
               for id, message in messages.items()}  # fmt: skip
    changed = _seconds(session.get("lastModified"))
    known = [time for time in times.values() if time is not None]
    conversation = new_conversation(
        SOURCE,
        session["id"],
        title=text_of(session.get("name")),
        created_at=iso(seconds(own.get("created_at")) or min(known, default=changed)),
        updated_at=iso(changed),
        pinned=session.get("pinned") is True,
        archived=own.get("archived") is True,
    )
    system: list[str] = []
    found: list[Message] = []
    # Of each line: the message that it is, or for the root and a system prompt the one above it, which is none.
    above: dict[str | None, str | None] = {None: None}
    tools = 0
    for id, parent in arranged(parents, times):
        message = messages[id]
        role, content = message.get("role"), text_of(message.get("content"))
        above[id] = above[parent]
        if message.get("type") == "root":
            continue
        if role == "system":
            system += [content] if content and content not in system else []
        elif role in ("user", "assistant"):
            found.append(_read_message(conversation, message, above[parent], times[id], generations.get(id, {})))
            above[id] = id
        else:
            tools += 1
    current = session.get("currNode")
    shown = above.get(current) if isinstance(current, str) else None
    leaf = shown or newest_leaf([(message.id, message.parent_id) for message in found])
    if not found and not system:
        return Skipped(conversation.title or conversation.id, "it has no messages")
    settings, refused = sound_settings(own.get("settings"))
    left_out = ((f"{tools} results of tools",) if tools else ()) + refused
    conversation = replace(conversation, current_message_id=leaf, system_prompt="\n\n".join(system), settings=settings)
    tags = tuple(tag for tag in list_of(own.get("tags")) if isinstance(tag, str))
    return Chat(conversation, tuple(found), tags, left_out=left_out)


def _read_message(
    conversation: Any, message: dict[str, Any], parent: str | None, time: float | None, generation: dict[str, Any]
) -> Message:
    columns: dict[str, Any] = {}
    timings = message.get("timings")
    for name, column in TIMINGS.items():
        number = timings.get(name) if isinstance(timings, dict) else None
        if _is_count(number):
            columns[column] = float(number) if name.endswith("_ms") else int(number)
    raw = {name: message[name] for name in ("toolCalls", "toolCallId", "extra") if message.get(name)}
    if message.get("role") == "assistant":
        columns["reasoning"] = text_of(message.get("reasoningContent")) or text_of(message.get("thinking")) or None
        columns["model"] = text_of(message.get("model")) or None
    checks: dict[str, Any] = {
        "status": lambda each: isinstance(each, str) and each in get_args(Status) and each != "streaming",
        "finish_reason": lambda each: isinstance(each, str),
        "model_digest": lambda each: isinstance(each, str),
        "settings": lambda each: isinstance(each, dict),
        "seed": lambda each: isinstance(each, int) and abs(each) < 2**63,
        "engine": lambda each: isinstance(each, dict),
        "edited": lambda each: isinstance(each, bool),
        "queue_ms": _is_count,
        "ttft_ms": _is_count,
        "context": lambda each: isinstance(each, str) and each in get_args(InContext),
    }
    columns |= {name: generation[name] for name in GENERATION if name in generation and checks[name](generation[name])}
    return new_message(
        conversation,
        message["id"],
        parent_id=parent,
        role=message["role"],
        content=text_of(message.get("content")),
        created_at=conversation.created_at if time is None else iso(time),
        extra=kept(**raw),
        **columns,
    )


def _is_count(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53


def _seconds(milliseconds: object) -> float | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    return seconds(milliseconds / 1000)
