"""Chats in files, and trees of messages that become files: what tests of import and export are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.store import Store
from app.store.tokens import TokenLog
from app.transfer.exporting import export
from app.transfer.formats import FORMATS


def exported(store: Store, kind: str = "json", **options: bool) -> bytes:
    return b"".join(export(store, store.conversations.ids(), FORMATS[kind], **options).pieces)


def write(path: Path, *values: Any) -> Path:
    """The values as the lines of a file, or one alone as all of it."""
    path.write_text("\n".join(json.dumps(value) for value in values), encoding="utf-8")
    return path


def grow(store: Store, tree: list[tuple[float, Any, str]], title: str = "Oaks", **columns: Any) -> str:
    chat = store.conversations.create(title=title, **columns)
    added: list[str | None] = [None]
    for share, role, content in tree:
        log = TokenLog()
        answer: dict[str, Any] = {}
        if role == "assistant":
            log.append(7, -0.5, [(7, -0.5), (9, -1.25)])
            answer = {"reasoning": content, "model": "tiny", "seed": 2**62, "settings": {"temperature": 0.5}}
            answer |= {"decode_ms": 12.5, "new_tokens": 1, "token_ids": log.ids(), "token_logprobs": log.logprobs()}
        parent = added[int(share * (len(added) - 1))]
        added.append(store.messages.add(chat.id, parent_id=parent, role=role, content=content, **answer).id)
    return chat.id


def contents(store: Store, id: str | None) -> list[tuple[str, str, str | None]]:
    """Role, content and content of the parent of each message."""
    assert id
    messages = {message.id: message for message in store.messages.tree(id)}
    return [
        (each.role, each.content, messages[each.parent_id].content if each.parent_id else None)
        for each in messages.values()
    ]


def node(id: str, parent: str | None, role: str, text: str, time: float | None, **message: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": [text]}
    given = {"id": id, "author": {"role": role}, "create_time": time, "content": content} | message
    return {"id": id, "parent": parent, "message": given}


def chatgpt(id: str = "c-1", **values: Any) -> dict[str, Any]:
    mapping = {
        "root": {"id": "root", "parent": None, "message": None},
        "hidden": node("hidden", "root", "system", "", None, metadata={"is_visually_hidden_from_conversation": True}),
        "q1": node("q1", "hidden", "user", "What is an oak?", 10.0, metadata={}),
        "think": node("think", "q1", "assistant", "", 11.0, content={
            "content_type": "thoughts", "thoughts": [{"summary": "Trees", "content": "It is a tree."}]}),
        "a1": node("a1", "think", "assistant", "A tree.", 12.0, metadata={"model_slug": "gpt-5"}),
        "a2": node("a2", "q1", "assistant", "A bird.", 11.5),
        "picture": node("picture", "a1", "user", "", 13.0, content={
            "content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}, "And this?"]}),
        "tool": node("tool", "picture", "assistant", "search()", 14.0, recipient="browser"),
        "new": node("new", "tool", "assistant", "", 15.0, content={"content_type": "brand_new", "value": 1}),
        "second root": node("second root", None, "user", "Another start", 20.0),
        "loop a": node("loop a", "loop b", "user", "Round", 30.0),
        "loop b": node("loop b", "loop a", "assistant", "and round", 31.0),
    }  # fmt: skip
    return {"id": id, "title": None, "create_time": 10.0, "update_time": 20.0, "mapping": mapping,
            "current_node": "a1", "model_slug": "auto"} | values  # fmt: skip


TREE = [
    ("user", "What is an oak?", None),
    ("assistant", "A bird.", "What is an oak?"),
    ("assistant", "A tree.", "What is an oak?"),
    ("user", "[image_asset_pointer]\n\nAnd this?", "A tree."),
    ("assistant", "[brand_new]", "[image_asset_pointer]\n\nAnd this?"),
    ("user", "Another start", None),
    ("user", "Round", None),
    ("assistant", "and round", "Round"),
]
