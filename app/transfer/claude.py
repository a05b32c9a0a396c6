"""Claude's data export: conversations as lists of messages, which in newer ones name their parents. Unofficial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from app.store import Message
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
    text_of,
    with_conversation,
)
from app.transfer.source import Source
from app.transfer.tree import arranged, newest_leaf

SOURCE = "claude"
ROLES = {"human": "user", "assistant": "assistant"}
TOOLS = ("tool_use", "tool_result")


def recognises(value: dict[str, Any]) -> bool:
    return isinstance(value.get("chat_messages"), list)


def read(values: Iterable[Any], source: Source) -> Iterator[Chat | Skipped]:
    """The conversations among the values of a file."""
    for number, value in enumerate(values, 1):
        what = text_of(dict_of(value).get("name")) or f"number {number} of {source.stem}"
        if not isinstance(value, dict) or not recognises(value):
            yield Skipped(what, "it has no messages (no `chat_messages`)")
        elif not text_of(value.get("uuid")):
            yield Skipped(what, "it has no id")
        else:
            chat = _chat(value, source)
            yield chat if chat.messages else Skipped(what, "it has no messages")


def _chat(value: dict[str, Any], source: Source) -> Chat:
    created = seconds(value.get("created_at"))
    conversation = new_conversation(
        SOURCE,
        value["uuid"],
        title=text_of(value.get("name")),
        created_at=iso(created),
        updated_at=iso(seconds(value.get("updated_at")) or created),
        pinned=value.get("is_starred") is True,
    )
    model = text_of(value.get("model")) or None
    senders: list[tuple[str, dict[str, Any]]] = []
    parents: dict[str, str | None] = {}
    strangers = 0
    before: str | None = None
    for place, message in enumerate(map(dict_of, value["chat_messages"])):
        if text_of(message.get("sender")) not in ROLES:
            strangers += 1
            continue
        id = text_of(message.get("uuid")) or f"{place}"
        senders.append((id, message))
        # Older exports have no parents: one message follows the other.
        parent = message.get("parent_message_uuid", before)
        parents[id] = parent if isinstance(parent, str) else None
        before = id
    given = by_id(senders, source)
    times = {id: seconds(message.get("created_at")) for id, message in given.items()}
    messages = [
        _message(conversation, id, parent, given[id], times[id], model) for id, parent in arranged(parents, times)
    ]
    current = text_of(value.get("current_leaf_message_uuid"))
    leaf = current if current in given else newest_leaf([(each.id, each.parent_id) for each in messages])
    chat = Chat(
        replace(conversation, current_message_id=leaf),
        tuple(messages),
        left_out=(f"{strangers} messages of an unknown sender",) if strangers else (),
    )
    return with_conversation(
        chat, summary=value.get("summary"), project_uuid=value.get("project_uuid"), project=value.get("project")
    )


def _message(
    conversation: Any, id: str, parent: str | None, message: dict[str, Any], time: float | None, model: str | None
) -> Message:
    role = ROLES[message["sender"]]
    blocks = [dict_of(each) for each in list_of(message.get("content"))]
    pieces, thoughts = [], []
    for block in blocks:
        match block.get("type"):
            case "text":
                pieces.append(text_of(block.get("text")))
            case "thinking":
                thoughts.append(text_of(block.get("thinking")) or text_of(block.get("text")))
            case "tool_use" | "tool_result" | "token_budget" | None:
                pass
            case kind:
                pieces.append(f"[{kind}]" if isinstance(kind, str) else "")
    text = "\n\n".join(piece for piece in pieces if piece) or text_of(message.get("text"))
    files = [*list_of(message.get("attachments")), *list_of(message.get("files"))]
    names = [f"[{text_of(dict_of(file).get('file_name')) or 'file'}]" for file in files]
    plain = all(block.keys() <= {"type", "text"} or block.get("type") == "thinking" for block in blocks)
    return new_message(
        conversation,
        id,
        parent_id=parent,
        role=role,
        content="\n\n".join([*names, *([text] if text else [])]),
        reasoning="\n\n".join(filter(None, thoughts)) or None if role == "assistant" else None,
        model=model if role == "assistant" else None,
        created_at=conversation.created_at if time is None else iso(time),
        extra=kept(
            content=None if plain else blocks, attachments=message.get("attachments"), files=message.get("files")
        ),
    )
