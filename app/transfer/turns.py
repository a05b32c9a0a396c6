"""Conversations of formats that are made for training: turns one after the other, without ids and times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from app.store import Message
from app.store.text import now
from app.transfer.chat import Chat, digest, new_conversation, new_message

MAX_TITLE = 60


class Turn(NamedTuple):
    """role: system, user or assistant; anything else is kept beside the next answer. raw: what was not understood."""

    role: str
    content: str
    raw: Any = None


def chat_of(source: str, value: Any, turns: Iterable[Turn], rejected: str | None = None) -> Chat:
    """The turns as one branch; rejected: a second answer beside the last one.

    What is the same, to the last letter, is the same conversation: its id is a digest of `value`, a JSON value.
    """
    conversation = new_conversation(source, digest(value), created_at=now(), title_by="first words")
    system: list[str] = []
    waiting: list[Any] = []
    messages: list[Message] = []
    for number, turn in enumerate(turns):
        if turn.role == "system":
            system.append(turn.content)
        elif turn.role in ("user", "assistant"):
            raw: dict[str, Any] = {"turn": turn.raw} if turn.raw is not None else {}
            if waiting:
                raw, waiting = raw | {"before": waiting}, []
            parent = messages[-1].id if messages else None
            extra = {"imported": raw} if raw else {}
            messages.append(
                new_message(
                    conversation, str(number), parent_id=parent, role=turn.role, content=turn.content, extra=extra
                )
            )
        else:
            waiting.append(turn.raw)
    first = next((message.content for message in messages if message.role == "user"), "")
    title = " ".join(first[: 10 * MAX_TITLE].split())
    conversation = replace(
        conversation,
        title=title if len(title) <= MAX_TITLE else f"{title[: MAX_TITLE - 1].rstrip()}…",
        system_prompt="\n\n".join(text for text in system if text),
        current_message_id=messages[-1].id if messages else None,
    )
    if rejected is not None and messages:
        other = new_message(
            conversation, "rejected", parent_id=messages[-1].parent_id, role="assistant", content=rejected
        )
        messages.append(other)
    left_out = (f"{len(waiting)} turns of tools that no answer follows",) if waiting else ()
    return Chat(conversation, tuple(messages), left_out=left_out)
