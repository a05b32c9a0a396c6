"""What a format has no place for, counted in the conversations that are exported in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Set

from app.store import Message
from app.transfer.chat import Chat

OTHER_BRANCHES = "other branches"
THOUGHTS = "thoughts"
SYSTEM_PROMPT = "system prompt"
TIMES = "times"
TAGS = "tags"
PINNED = "pinned"
ARCHIVED = "archived"
SETTINGS = "settings of the chat"
PRESET = "preset"
MODEL = "model"
ENDING = "how an answer ended"
FIGURES = "speed and counts of tokens"
MADE_WITH = "seed, settings and engine"
EDITED = "edited by hand"
CONTEXT = "kept in or out of the context"
TOKENS = "token ids and probabilities"
OTHER = "what came along from elsewhere"

# Of a conversation: whether it has it. Of messages: how many do.
OF_CHATS: dict[str, Callable[[Chat], bool]] = {
    SYSTEM_PROMPT: lambda chat: bool(chat.conversation.system_prompt),
    TAGS: lambda chat: bool(chat.tags),
    PINNED: lambda chat: chat.conversation.pinned,
    ARCHIVED: lambda chat: chat.conversation.archived,
    SETTINGS: lambda chat: bool(chat.conversation.settings),
    PRESET: lambda chat: chat.preset is not None,
}
OF_MESSAGES: dict[str, Callable[[Message], bool]] = {
    THOUGHTS: lambda message: bool(message.reasoning),
    TIMES: lambda message: True,
    MODEL: lambda message: bool(message.model),
    ENDING: lambda message: message.status != "complete",
    FIGURES: lambda message: bool(message.new_tokens or message.prompt_tokens),
    MADE_WITH: lambda message: bool(message.settings or message.engine or message.seed is not None),
    EDITED: lambda message: message.edited,
    CONTEXT: lambda message: message.context is not None,
    TOKENS: lambda message: bool(message.token_ids),
    OTHER: lambda message: bool(message.extra.get("imported")),
}
EVERYTHING = frozenset({OTHER_BRANCHES, *OF_CHATS, *OF_MESSAGES})


def left_out(chats: Iterable[Chat], holds: Set[str]) -> list[str]:
    """What of these a format that holds so much leaves out, in words: "tags (2 chats)"."""
    of_chats: Counter[str] = Counter()
    of_messages: Counter[str] = Counter()
    for chat in chats:
        of_chats.update(name for name, has in OF_CHATS.items() if name not in holds and has(chat))
        written = chat.messages if OTHER_BRANCHES in holds else chat.path
        if OTHER_BRANCHES not in holds:
            of_messages[OTHER_BRANCHES] += len(chat.messages) - len(written)
        for name, has in OF_MESSAGES.items():
            if name not in holds:
                of_messages[name] += sum(map(has, written))
    return [
        *(f"{name} ({count:,} message{'s' if count > 1 else ''})" for name, count in of_messages.items() if count),
        *(f"{name} ({count:,} chat{'s' if count > 1 else ''})" for name, count in of_chats.items() if count),
    ]
