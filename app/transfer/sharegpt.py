"""Conversations in ShareGPT's format, and pairs of a chosen and a rejected answer, as LLaMA-Factory reads them.

https://llamafactory.readthedocs.io/en/latest/getting_started/data_preparation.html describes both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from app.transfer.chat import Chat
from app.transfer.openai_messages import lines, messages

FROM = {"user": "human", "assistant": "gpt"}


def write(chats: Iterable[Chat], all_branches: bool = False) -> Iterator[str]:
    """An entry for the branch that is shown, or for every one, of each conversation."""
    return _array(_entry(line) for chat in chats for line in lines(chat, all_branches))


def write_preferences(chats: Iterable[Chat], all_branches: bool = False) -> Iterator[str]:
    """An entry for each answer of the branch that is shown and each complete answer that was given up for it."""
    return _array(entry for chat in chats for entry in _pairs(chat))


def _pairs(chat: Chat) -> Iterator[dict[str, Any]]:
    path, children = chat.path, chat.children
    for place, kept in enumerate(path):
        if kept.role != "assistant" or kept.status != "complete" or not kept.content:
            continue
        for other in children[kept.parent_id]:
            # The same answer given twice says nothing about which is better.
            if other.role == "assistant" and other.status == "complete" and other.content not in ("", kept.content):
                pair = {"chosen": _turn("assistant", kept.content), "rejected": _turn("assistant", other.content)}
                yield _entry(messages(chat, path[:place])) | pair


def _entry(line: list[dict[str, str]]) -> dict[str, Any]:
    system = [each["content"] for each in line if each["role"] == "system"]
    turns = [_turn(each["role"], each["content"]) for each in line if each["role"] != "system"]
    return {"conversations": turns} | ({"system": "\n\n".join(system)} if system else {})


def _turn(role: str, content: str) -> dict[str, str]:
    return {"from": FROM[role], "value": content}


def _array(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    separator = "[\n"
    for entry in entries:
        yield separator + json.dumps(entry, ensure_ascii=False)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"
