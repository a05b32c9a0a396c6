"""Why a message, or what is asked of one, cannot be taken.

ChatError
├── EmptyMessage       nothing but white space
├── MessageTooLong     more characters than a message may have
└── ConversationBusy   the conversation is still being answered
"""

from __future__ import annotations

from app.errors import AppError

# A pasted megabyte, its name and its fences.
MAX_CHARACTERS = 1_100_000


class ChatError(AppError):
    """A message that cannot be taken, or not be treated as asked."""


class EmptyMessage(ChatError):
    """Nothing but white space."""

    def __init__(self) -> None:
        super().__init__("the message is empty: type something first")


class MessageTooLong(ChatError):
    """More characters than a message may have."""

    def __init__(self, characters: int) -> None:
        super().__init__(
            f"the message has {characters:,} characters, but at most {MAX_CHARACTERS:,} are possible: "
            "shorten it or send it in parts"
        )


class ConversationBusy(ChatError):
    """The conversation's last answer is still being written."""

    def __init__(self) -> None:
        super().__init__("this conversation is still being answered: wait for the end, or stop it first")
