"""Conversations of Open WebUI: a tree of messages in an object, as its export and its import have it.

Thoughts stand in the text there, folded into a `details` element, or in newer answers in `output`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.store import Message
from app.transfer.array import array
from app.transfer.chat import (
    Chat,
    Skipped,
    dict_of,
    iso,
    kept,
    list_of,
    new_conversation,
    new_message,
    seconds,
    sound_settings,
    text_of,
    with_conversation,
)
from app.transfer.source import Source
from app.transfer.tree import arranged, newest_leaf

SOURCE = "open-webui"
THOUGHTS = re.compile(
    r'\A\s*<details type="reasoning"[^>]*>\s*<summary>[^<]*</summary>\n?(.*?)\n?</details>(?:\n\n?|\Z)', re.DOTALL
)
# Ours, and what Open WebUI calls the same.
SETTINGS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "max_tokens": "max_tokens",
    "seed": "seed",
    "stop": "stop",
}
USAGE = {"prompt_tokens": "prompt_tokens", "new_tokens": "completion_tokens"}
# What a message is made of; the rest of it is kept as it is.
KNOWN = {
    *("id", "parentId", "childrenIds", "role", "content", "model", "modelName", "modelIdx", "models", "timestamp"),
    *("done", "output"),
}


def write(chats: Iterable[Chat], all_branches: bool = True) -> Iterator[str]:
    """An array of the conversations; all branches are in it in any case."""
    return array(_entry(chat) for chat in chats)


def _entry(chat: Chat) -> dict[str, Any]:
    conversation, children = chat.conversation, chat.children
    models = list(dict.fromkeys(message.model for message in chat.messages if message.model))
    written = {
        message.id: _written(message, [each.id for each in children.get(message.id, [])]) for message in chat.messages
    }
    params: dict[str, Any] = {"system": conversation.system_prompt} if conversation.system_prompt else {}
    params |= {SETTINGS[name]: each for name, each in conversation.settings.items() if name in SETTINGS}
    created = _whole_seconds(conversation.created_at)
    return {
        "id": conversation.id,
        "title": conversation.title,
        "chat": {
            "title": conversation.title,
            "models": models,
            "params": params,
            "history": {"currentId": conversation.current_message_id, "messages": written},
            "messages": [written[message.id] for message in chat.path],
            "timestamp": created * 1000,
        },
        "meta": {"tags": list(chat.tags)},
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "created_at": created,
        "updated_at": _whole_seconds(conversation.updated_at),
    }


def _written(message: Message, children: list[str]) -> dict[str, Any]:
    content = message.content
    if message.reasoning:
        quoted = "\n".join(f"> {line}" for line in message.reasoning.split("\n"))
        folded = html.escape(quoted, quote=False)
        content = (
            f'<details type="reasoning" done="true">\n<summary>Thoughts</summary>\n{folded}\n</details>\n{content}'
        )
    values: dict[str, Any] = {
        "id": message.id,
        "parentId": message.parent_id,
        "childrenIds": children,
        "role": message.role,
        "content": content,
        "timestamp": _whole_seconds(message.created_at),
    }
    if message.role == "assistant":
        values["done"] = message.status == "complete"
        if message.model:
            values |= {"model": message.model, "modelName": message.model}
        usage = {name: count for column, name in USAGE.items() if (count := getattr(message, column))}
        if usage:
            values["usage"] = usage
    return values


def _whole_seconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())


def recognises(value: dict[str, Any]) -> bool:
    """Whether a value has a history of messages; older exports have it without `chat` around it."""
    return isinstance(_history(value).get("messages"), dict)


def read(values: Iterable[Any], source: Source) -> Iterator[Chat | Skipped]:
    """The conversations among the values of a file."""
    for number, value in enumerate(values, 1):
        what = _title(dict_of(value)) or f"number {number} of {source.stem}"
        if not isinstance(value, dict) or not recognises(value):
            yield Skipped(what, "it has no messages (no `history`)")
            continue
        chat = _chat(value)
        yield chat if chat.messages else Skipped(what, "it has no messages")


def _inner(value: dict[str, Any]) -> dict[str, Any]:
    chat = value.get("chat")
    return chat if isinstance(chat, dict) else value


def _history(value: dict[str, Any]) -> dict[str, Any]:
    return dict_of(_inner(value).get("history"))


def _title(value: dict[str, Any]) -> str:
    return text_of(value.get("title")) or text_of(_inner(value).get("title"))


def _chat(value: dict[str, Any]) -> Chat:
    inner, history = _inner(value), _history(value)
    given = {id: each for id, each in history["messages"].items() if isinstance(each, dict)}
    times = {id: seconds(message.get("timestamp")) for id, message in given.items()}
    parents = {
        id: parent if isinstance(parent := message.get("parentId"), str) else None for id, message in given.items()
    }
    known = [time for time in times.values() if time is not None]
    created = seconds(value.get("created_at")) or min(known, default=None)
    # Without an id of its own, a conversation is known by those of its first messages.
    id = text_of(value.get("id")) or text_of(inner.get("id")) or min(given, default="")
    params = dict_of(inner.get("params")) or dict_of(inner.get("options"))
    system = [text_of(params.get("system")) or text_of(inner.get("system"))]
    settings, refused = sound_settings(
        {name: each for name, theirs in SETTINGS.items() if (each := params.get(theirs)) is not None and each != ""}
    )
    conversation = new_conversation(
        SOURCE,
        id,
        title=_title(value),
        created_at=iso(created),
        updated_at=iso(seconds(value.get("updated_at")) or max(known, default=created)),
        pinned=value.get("pinned") is True,
        archived=value.get("archived") is True,
        settings=settings,
    )
    messages: list[Message] = []
    above: dict[str | None, str | None] = {None: None}
    strangers = 0
    for id, parent in arranged(parents, times):
        message = given[id]
        above[id] = above[parent]
        if message.get("role") in ("user", "assistant"):
            messages.append(_message(conversation, id, above[parent], message, times[id]))
            above[id] = id
        elif message.get("role") == "system":
            system.append(text_of(message.get("content")))
        else:
            strangers += 1
    current = history.get("currentId")
    leaf = above.get(current) if isinstance(current, str) else None
    leaf = leaf or newest_leaf([(each.id, each.parent_id) for each in messages])
    conversation = replace(
        conversation, current_message_id=leaf, system_prompt="\n\n".join(dict.fromkeys(filter(None, system)))
    )
    tags = [tag for tag in list_of(dict_of(value.get("meta")).get("tags")) if isinstance(tag, str)]
    chat = Chat(
        conversation,
        tuple(messages),
        tuple(sorted(dict.fromkeys(tags))),
        left_out=((f"{strangers} messages of an unknown role",) if strangers else ()) + refused,
    )
    return with_conversation(chat, folder_id=value.get("folder_id"), files=inner.get("files"))


def _message(conversation: Any, id: str, parent: str | None, message: dict[str, Any], time: float | None) -> Message:
    content, thoughts = text_of(message.get("content")), []
    while message["role"] == "assistant" and (found := THOUGHTS.match(content)):
        content = content[found.end() :]
        lines = html.unescape(found[1]).split("\n")
        thoughts.append("\n".join(line.removeprefix(">").removeprefix(" ") for line in lines))
    output = [dict_of(each) for each in list_of(message.get("output"))]
    texts = [piece for item in output if item.get("type") == "message" for piece in _texts(item)]
    if not thoughts:
        thoughts = [piece for item in output if item.get("type") == "reasoning" for piece in _texts(item)]
    columns: dict[str, Any] = {}
    if message["role"] == "assistant":
        columns = {"model": text_of(message.get("model")) or None, "reasoning": "\n\n".join(thoughts) or None}
        columns["status"] = "interrupted" if message.get("done") is False else "complete"
        for column, name in USAGE.items():
            count = dict_of(message.get("usage")).get(name)
            if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**53:
                columns[column] = count
    raw = {name: each for name, each in message.items() if name not in KNOWN}
    if any(item.get("type") not in ("message", "reasoning") for item in output):
        raw["output"] = output
    if dict_of(raw.get("usage")).keys() <= set(USAGE.values()):
        raw.pop("usage", None)
    return new_message(
        conversation,
        id,
        parent_id=parent,
        role=message["role"],
        content=content or "\n\n".join(texts),
        created_at=conversation.created_at if time is None else iso(time),
        extra=kept(**raw),
        **columns,
    )


def _texts(item: dict[str, Any]) -> list[str]:
    """The texts of an item of `output`: of an answer's or a thought's parts."""
    parts = [*list_of(item.get("content")), *list_of(item.get("summary"))]
    return [text for part in parts if (text := text_of(dict_of(part).get("text")))]
