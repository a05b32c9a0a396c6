"""A conversation of text-generation-webui: rows of what the user said and what was answered."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.store import Message
from app.transfer.chat import (
    Chat,
    Skipped,
    dict_of,
    digest,
    iso,
    kept,
    list_of,
    new_conversation,
    new_message,
    seconds,
    text_of,
)
from app.transfer.source import Source

SOURCE = "text-generation-webui"
# What stands for the user's words where a character speaks first.
GREETING = "<|BEGIN-VISIBLE-CHAT|>"
THOUGHTS = re.compile(r"\A\s*<think>\n?(.*?)\n?</think>\s*", re.DOTALL)


def recognises(value: dict[str, Any]) -> bool:
    return any(
        isinstance(value.get(inside), list) and isinstance(value.get(shown), list)
        for inside, shown in (("internal", "visible"), ("data", "data_visible"))
    )


def read(values: Iterable[Any], source: Source) -> Iterator[Chat | Skipped]:
    """The conversations among the values of a file, of which there is one; its title is the file's name."""
    for value in values:
        if not isinstance(value, dict) or not recognises(value):
            yield Skipped(source.stem, "it has no rows (no `internal`)")
            continue
        chat = _chat(value, source)
        yield chat if chat.messages else Skipped(source.stem, "no one says anything in it")


def _chat(value: dict[str, Any], source: Source) -> Chat:
    rows = list_of(value.get("internal", value.get("data")))
    shown = list_of(value.get("visible", value.get("data_visible")))
    metadata = dict_of(value.get("metadata"))
    conversation = new_conversation(SOURCE, digest([source.stem, rows[:1]]), title=source.stem)
    messages: list[Message] = []
    parent: str | None = None
    odd = 0
    for number, row in enumerate(rows):
        visible = shown[number] if number < len(shown) else None
        if not isinstance(row, list) or len(row) != 2:
            odd += 1
            continue
        for side, role in enumerate(("user", "assistant")):
            about = dict_of(metadata.get(f"{role}_{number}"))
            text = text_of(row[side])
            if not text and isinstance(visible, list) and len(visible) == 2:
                text = html.unescape(text_of(visible[side]))
            if text == GREETING or not text:
                continue
            versions = [dict_of(each) for each in list_of(about.get("versions"))]
            index = about.get("current_version_index")
            chosen = index if isinstance(index, int) and 0 <= index < len(versions) else len(versions)
            texts = [text_of(each.get("content")) or html.unescape(text_of(each.get("visible_content")))
                     for each in versions]  # fmt: skip
            # The row is what was said last; the version that is chosen is the same, unless it was edited since.
            texts[chosen : chosen + 1] = [text]
            versions[chosen : chosen + 1] = [{**about, **(versions[chosen] if chosen < len(versions) else {})}]
            ids = [f"{number}.{role}.{version}" for version in range(len(texts))]
            messages += [
                _message(conversation, id, parent, role, said, details)
                for id, said, details in zip(ids, texts, versions, strict=True)
                if said
            ]
            parent = ids[chosen]
    times = [message.created_at for message in messages]
    begun = min((time for time in times if time != conversation.created_at), default=conversation.created_at)
    messages = [
        replace(message, created_at=begun) if message.created_at == conversation.created_at else message
        for message in messages
    ]
    conversation = replace(
        conversation, current_message_id=parent, created_at=begun, updated_at=max(times, default=begun)
    )
    return Chat(conversation, tuple(messages), left_out=(f"{odd} rows that are no pair",) if odd else ())


def _message(conversation: Any, id: str, parent: str | None, role: str, text: str, details: dict[str, Any]) -> Message:
    thoughts = THOUGHTS.match(text) if role == "assistant" else None
    time = _seconds(details.get("timestamp"))
    known = ("timestamp", "model_name", "versions", "current_version_index", "content", "visible_content")
    return new_message(
        conversation,
        id,
        parent_id=parent,
        role=role,
        content=text[thoughts.end() :] if thoughts else text,
        reasoning=thoughts[1] or None if thoughts else None,
        model=text_of(details.get("model_name")) or None if role == "assistant" else None,
        created_at=conversation.created_at if time is None else iso(time),
        extra=kept(**{name: each for name, each in details.items() if name not in known}),
    )


def _seconds(time: object) -> float | None:
    """A time as it is shown on the page, "Jun 03, 2025 14:05" in nobody knows which zone, or any other."""
    try:
        return datetime.strptime(text_of(time), "%b %d, %Y %H:%M").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return seconds(time)
