"""A conversation as LM Studio keeps it: messages in versions, answers in steps. Its maker promises nothing about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
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

SOURCE = "lm-studio"
COUNTS = {"prompt_tokens": "promptTokensCount", "new_tokens": "predictedTokensCount"}


def recognises(value: dict[str, Any]) -> bool:
    """Whether its messages have versions."""
    return any(isinstance(dict_of(each).get("versions"), list) for each in list_of(value.get("messages")))


def read(values: Iterable[Any], source: Source) -> Iterator[Chat | Skipped]:
    """The conversations among the values of a file, of which there is one."""
    for value in values:
        if not isinstance(value, dict) or not recognises(value):
            yield Skipped(source.stem, "it has no messages with `versions`")
            continue
        chat = _chat(value, source)
        yield chat if chat.messages else Skipped(source.stem, "no one says anything in it")


def _chat(value: dict[str, Any], source: Source) -> Chat:
    given = [[dict_of(each) for each in list_of(dict_of(message).get("versions"))] for message in value["messages"]]
    # The file is named by the moment it was begun, in milliseconds.
    begun = _seconds(value.get("createdAt")) or _seconds(int(source.stem) if source.stem.isdecimal() else None)
    conversation = new_conversation(
        SOURCE,
        digest([source.stem, value.get("createdAt"), _text(given[0][0]) if given[0] else ""]),
        title=text_of(value.get("name")) or source.stem,
        created_at=iso(begun),
        updated_at=iso(
            _seconds(value.get("assistantLastMessagedAt")) or _seconds(value.get("userLastMessagedAt")) or begun
        ),
        pinned=value.get("pinned") is True,
    )
    system = [text_of(value.get("systemPrompt"))]
    messages: list[Message] = []
    parent: str | None = None
    strangers = 0
    for place, (message, versions) in enumerate(zip(value["messages"], given, strict=True)):
        chosen = message.get("currentlySelected") if isinstance(message, dict) else None
        below: dict[int, str] = {}
        for number, version in enumerate(versions):
            if version.get("role") in ("user", "assistant"):
                below[number] = f"{place}.{number}"
                messages.append(_message(conversation, below[number], parent, version))
            elif version.get("role") == "system":
                system.append(_text(version))
            else:
                strangers += 1
        if below:
            parent = below[chosen] if isinstance(chosen, int) and chosen in below else below[max(below)]
    conversation = replace(
        conversation, current_message_id=parent, system_prompt="\n\n".join(dict.fromkeys(filter(None, system)))
    )
    left_out = (f"{strangers} messages of an unknown role",) if strangers else ()
    return Chat(conversation, tuple(messages), left_out=left_out)


def _message(conversation: Any, id: str, parent: str | None, version: dict[str, Any]) -> Message:
    steps = [dict_of(each) for each in list_of(version.get("steps"))]
    thoughts = [_text(step) for step in steps if _thinks(step)]
    columns: dict[str, Any] = {}
    if version["role"] == "assistant":
        details = next((each for step in steps if (each := dict_of(step.get("genInfo")))), {})
        columns["model"] = text_of(details.get("indexedModelIdentifier")) or text_of(details.get("identifier")) or None
        columns["reasoning"] = "\n\n".join(filter(None, thoughts)) or None
        stats = dict_of(details.get("stats"))
        for column, name in COUNTS.items():
            count = stats.get(name)
            if isinstance(count, int | float) and not isinstance(count, bool) and 0 <= count < 2**53:
                columns[column] = int(count)
        if stats.get("stopReason") == "userStopped":
            columns["status"] = "stopped"
    text = "\n\n".join(filter(None, [_text(version), *(_text(step) for step in steps if not _thinks(step))]))
    known = ("role", "type", "content", "steps", "senderInfo")
    odd = [step for step in steps if step.get("type") not in (None, "contentBlock")]
    return new_message(
        conversation,
        id,
        parent_id=parent,
        role=version["role"],
        content=text,
        extra=kept(
            genInfo=[step["genInfo"] for step in steps if step.get("genInfo")],
            steps=odd,
            content=None if _plain(version) else version.get("content"),
            version={name: each for name, each in version.items() if name not in known},
        ),
        **columns,
    )


def _thinks(step: dict[str, Any]) -> bool:
    return dict_of(step.get("style")).get("type") == "thinking"


def _text(block: dict[str, Any]) -> str:
    """Of a version or a step: its text, with a placeholder for each file."""
    content = block.get("content")
    if isinstance(content, str):
        return content
    pieces = []
    for part in map(dict_of, list_of(content)):
        kind = text_of(part.get("type"))
        pieces.append(text_of(part.get("text")) if kind in ("", "text") else f"[{text_of(part.get('name')) or kind}]")
    return "".join(pieces)


def _plain(version: dict[str, Any]) -> bool:
    return all(dict_of(part).get("type") in (None, "text") for part in list_of(version.get("content")))


def _seconds(milliseconds: object) -> float | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    return seconds(milliseconds / 1000)
