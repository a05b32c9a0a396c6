"""Conversations as OpenAI's `messages`, one a line: what fine-tuning takes.

https://platform.openai.com/docs/guides/supervised-fine-tuning describes the format.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from app.store import Message
from app.transfer.chat import Chat


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
