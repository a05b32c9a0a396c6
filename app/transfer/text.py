"""Conversations as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.transfer.chat import Chat
from app.transfer.markdown import HEADINGS, UNTITLED, minute

SEPARATOR = "\n\n" + "=" * 72 + "\n\n"


def write(chats: Iterable[Chat], all_branches: bool = False) -> Iterator[str]:
    """Of each conversation the branch that is shown: title, date, and who said what; thoughts are left out."""
    separator = ""
    for chat in chats:
        yield separator + _document(chat)
        separator = SEPARATOR
    yield "\n"


def _document(chat: Chat) -> str:
    conversation = chat.conversation
    parts = [f"{conversation.title or UNTITLED}\n{minute(conversation.created_at)}"]
    if conversation.system_prompt.strip():
        parts.append(f"{HEADINGS['system']}:\n{conversation.system_prompt.strip()}")
    parts += [f"{HEADINGS[message.role]}:\n{message.content.strip()}" for message in chat.path]
    return "\n\n".join(parts)
