"""Conversations as Markdown documents, for reading and for other programs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from app.store import Conversation, Message
from app.transfer.chat import Chat

SEPARATOR = "\n---\n\n"
UNTITLED = "Untitled chat"
HEADINGS = {"system": "System", "user": "You", "assistant": "Assistant"}
NOTES = {"stopped": "stopped", "interrupted": "interrupted", "streaming": "not finished", "error": "failed"}
FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})(?P<rest>.*)$")
FOLD_END = re.compile(r"<(?=/(?:details|summary)\b)", re.IGNORECASE)
SPECIAL = re.compile(r"[\\`*_\[\]<>#&|~]")


def write(chats: Iterable[Chat], all_branches: bool = False) -> Iterator[str]:
    """A document for each conversation, of the branch that is shown, with a line between."""
    separator = ""
    for chat in chats:
        yield separator + document(chat.conversation, chat.path)
        separator = SEPARATOR


def document(conversation: Conversation, messages: Sequence[Message]) -> str:
    """The document: title, system prompt, then each message under a heading, its text as it was written.

    messages: the path to show, as `store.messages.path` gives it. Under an answer stands what made it: model,
    seed, speed, and how it ended if not by itself; above it, folded, what a reasoning model thought.
    """
    parts = [f"# {_inline(conversation.title or UNTITLED)}", f"*{minute(conversation.created_at)}*"]
    if conversation.system_prompt.strip():
        parts += [f"## {HEADINGS['system']}", _closed(conversation.system_prompt)]
    for message in messages:
        parts += [f"## {HEADINGS[message.role]}", _thoughts(message), _closed(message.content), _made_by(message)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _thoughts(message: Message) -> str:
    """What a reasoning model thought before its answer, folded where HTML in Markdown is understood."""
    if not message.reasoning:
        return ""
    text = FOLD_END.sub("&lt;", _closed(message.reasoning))
    return f"<details>\n<summary>Thoughts</summary>\n\n{text}\n\n</details>"


def _made_by(message: Message) -> str:
    made = made_by(message)
    return f"*{_inline(made)}*" if made else ""


def made_by(message: Message) -> str:
    """Model, seed, speed, and how it ended if not by itself, as one line of plain text; "" where nothing is known."""
    facts = []
    if message.model:
        facts.append(message.model)
    if message.seed is not None:
        facts.append(f"seed {message.seed}")
    if message.tokens_per_second:
        facts.append(f"{message.tokens_per_second:.1f} tokens/s")
    if note := NOTES.get(message.status):
        error = message.extra.get("error")
        facts.append(f"{note}: {error}" if error else note)
    return " · ".join(facts)


def _closed(text: str) -> str:
    """The text, with a code block that it leaves open closed, lest it swallow the rest of the document."""
    fence = ""
    for line in text.splitlines():
        if match := FENCE.match(line):
            mark, rest = match["fence"], match["rest"]
            if not fence and not (mark[0] == "`" and "`" in rest):
                fence = mark
            elif fence and mark.startswith(fence) and not rest.strip():
                fence = ""
    text = text.strip("\n")
    return f"{text}\n{fence}" if fence else text


def _inline(text: str) -> str:
    """One line that shows the text as it is."""
    return SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def minute(time: str) -> str:
    """A time of the store, to the minute, for people."""
    return datetime.fromisoformat(time).strftime("%Y-%m-%d %H:%M UTC")
