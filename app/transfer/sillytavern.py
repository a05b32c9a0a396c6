"""A chat of SillyTavern: JSON lines, the first about the chat, each other a message with its swipes."""

from __future__ import annotations

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
    with_conversation,
)
from app.transfer.source import MAX_WEIGHT, ImportRefused, Source

SOURCE = "sillytavern"
# "2024-5-3 @12h 30m 20s 123ms" and "May 3, 2024 2:30pm", in nobody knows which zone.
DAY_AT = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2}) ?@(\d{1,2})h ?(\d{1,2})m ?(\d{1,2})s(?: ?(\d{1,3})ms)?")
SPOKEN = "%B %d, %Y %I:%M%p"


def recognises(value: dict[str, Any]) -> bool:
    """Whether a line begins a chat."""
    return "character_name" in value and ("user_name" in value or "chat_metadata" in value)


def read(values: Iterable[Any], source: Source) -> Iterator[Chat | Skipped]:
    """The chat of a file."""
    lines: list[dict[str, Any]] = []
    weight = 0
    for value in map(dict_of, values):
        weight += len(text_of(value.get("mes"))) + sum(map(len, map(text_of, list_of(value.get("swipes"))))) + 1000
        if weight > MAX_WEIGHT:
            raise ImportRefused(f"{source.name:.100} has a chat that needs more than {MAX_WEIGHT >> 20} MB")
        lines.append(value)
    chat = _chat(lines[0], lines[1:], source)
    yield chat if chat.messages else Skipped(source.stem, "no one says anything in it")


def _chat(header: dict[str, Any], lines: list[dict[str, Any]], source: Source) -> Chat:
    first = text_of(lines[0].get("mes")) if lines else ""
    created = _seconds(header.get("create_date"))
    integrity = text_of(dict_of(header.get("chat_metadata")).get("integrity"))
    names = {True: text_of(header.get("user_name")), False: text_of(header.get("character_name"))}
    conversation = new_conversation(
        SOURCE,
        integrity or digest([source.stem, names[False], header.get("create_date"), first]),
        title=source.stem,
        created_at=iso(created),
    )
    messages: list[Message] = []
    waiting: list[dict[str, Any]] = []
    parent: str | None = None
    hidden = 0
    for number, line in enumerate(lines):
        if line.get("is_system") is True or not isinstance(line.get("mes"), str):
            hidden += isinstance(line.get("mes"), str)
            waiting.append(line)
            continue
        swipes = [text_of(each) for each in list_of(line.get("swipes"))]
        index = line.get("swipe_id")
        chosen = index if isinstance(index, int) and 0 <= index < len(swipes) else len(swipes)
        # What is shown may have been edited since it was swiped to.
        swipes[chosen : chosen + 1] = [line["mes"]]
        about = list_of(line.get("swipe_info"))
        name = text_of(line.get("name"))
        speaker = "" if name == names[line.get("is_user") is True] else name
        for place, text in enumerate(swipes):
            details = dict_of(about[place]) if place < len(about) else {}
            if place == chosen:
                details = {name: each for name, each in line.items() if name in ("send_date", "extra")} | details
            messages.append(_message(conversation, f"{number}.{place}", parent, line, text, details, speaker, waiting))
        waiting = []
        parent = f"{number}.{chosen}"
    times = [message.created_at for message in messages]
    conversation = replace(conversation, current_message_id=parent, updated_at=max(times, default=iso(created)))
    left_out = (f"{hidden} hidden messages",) if hidden else ()
    chat = Chat(conversation, tuple(messages), left_out=left_out)
    metadata = {name: each for name, each in dict_of(header.get("chat_metadata")).items() if name != "integrity"}
    return with_conversation(chat, user_name=names[True], character_name=names[False], chat_metadata=metadata)


def _message(
    conversation: Any,
    id: str,
    parent: str | None,
    line: dict[str, Any],
    text: str,
    details: dict[str, Any],
    speaker: str,
    waiting: list[dict[str, Any]],
) -> Message:
    role = "user" if line.get("is_user") is True else "assistant"
    about = dict_of(details.get("extra"))
    time = _seconds(details.get("send_date")) or _seconds(line.get("send_date"))
    known = ("model", "reasoning", "api")
    return new_message(
        conversation,
        id,
        parent_id=parent,
        role=role,
        content=text,
        reasoning=text_of(about.get("reasoning")) or None if role == "assistant" else None,
        model=text_of(about.get("model")) or None if role == "assistant" else None,
        created_at=conversation.created_at if time is None else iso(time),
        extra=kept(
            name=speaker, before=waiting, extra={name: each for name, each in about.items() if name not in known}
        ),
    )


def _seconds(time: object) -> float | None:
    """A time in one of the ways that its versions have written it."""
    if isinstance(time, int | float) and not isinstance(time, bool):
        return seconds(time / 1000)
    text = text_of(time).strip()
    try:
        if text.isdecimal():
            return seconds(int(text) / 1000)
        if found := DAY_AT.fullmatch(text):
            year, month, day, hour, minute, second, milliseconds = (int(each or 0) for each in found.groups())
            return datetime(year, month, day, hour, minute, second, milliseconds * 1000, UTC).timestamp()
        return datetime.strptime(text.upper(), SPOKEN).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return seconds(text)
