"""Conversations as OpenAI's `messages`, one a line: what fine-tuning takes.

https://platform.openai.com/docs/guides/supervised-fine-tuning describes the format.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from app.store import Message
from app.transfer.chat import Chat, Skipped, text_of
from app.transfer.source import Source
from app.transfer.turns import Turn, chat_of

SOURCE = "openai"
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def write(chats: Iterable[Chat], all_branches: bool = False) -> Iterator[str]:
    """A line for the branch that is shown, or for every one, of each conversation; thoughts are left out.

    Such a line ends in an answer, so what comes after the last one is left out, and a branch without any gives none.
    """
    for chat in chats:
        for line in lines(chat, all_branches):
            yield json.dumps({"messages": line}, ensure_ascii=False) + "\n"


def lines(chat: Chat, all_branches: bool) -> Iterator[list[dict[str, str]]]:
    """The messages of each branch that is wanted, no two alike."""
    seen: set[tuple[str, ...]] = set()
    for branch in chat.branches if all_branches else [chat.path]:
        while branch and not (branch[-1].role == "assistant" and branch[-1].content):
            branch.pop()
        key = tuple(message.id for message in branch)
        if branch and key not in seen:
            seen.add(key)
            yield messages(chat, branch)


def messages(chat: Chat, branch: Sequence[Message]) -> list[dict[str, str]]:
    """Role and content of each message, the system prompt first; failed answers without text are left out."""
    found = [{"role": each.role, "content": each.content} for each in branch if each.content]
    if chat.conversation.system_prompt:
        found.insert(0, {"role": "system", "content": chat.conversation.system_prompt})
    return found


def recognises(value: dict[str, Any]) -> bool:
    """Whether a value has `messages` with roles."""
    given = value.get("messages")
    return isinstance(given, list) and any(isinstance(each, dict) and "role" in each for each in given)


def read(values: Iterable[Any], source: Source) -> Iterator[Chat | Skipped]:
    """A conversation of each value; tool calls and their results are kept as they are beside the answer after them."""
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict) or not recognises(value):
            yield Skipped(f"number {number} of {source.stem}", "it has no messages")
            continue
        chat = chat_of(SOURCE, value["messages"], [_turn(each) for each in value["messages"] if isinstance(each, dict)])
        yield chat if chat.messages else Skipped(f"number {number} of {source.stem}", "no one says anything in it")


def _turn(message: dict[str, Any]) -> Turn:
    role, content = ROLES.get(text_of(message.get("role")), "tool"), message.get("content")
    parts = content if isinstance(content, list) else []
    text = text_of(content) or "\n\n".join(text_of(each.get("text")) for each in parts if isinstance(each, dict))
    if role == "assistant" and not text and message.get("tool_calls"):
        role = "tool"
    plain = isinstance(content, str) and message.keys() <= {"role", "content"}
    return Turn(role, text, None if plain and role != "tool" else message)
