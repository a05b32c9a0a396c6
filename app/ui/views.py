"""What the page is told about records: plain data, in the browser's terms."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

from app.chats import Chats, can_continue
from app.context import Sight
from app.live import THOUGHT_MS
from app.store import Conversation, Hit, Message, Store
from app.ui.language import t, told


class Sequencer:
    """Growing numbers for what is sent to a component: the browser drops what is not newer than what it has.

    They start from the clock, so that they also grow over a restart of the server.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(time.time_ns() // 1_000_000)

    def stamp(self, op: str, **values: Any) -> dict[str, Any]:
        """A message for a component; its keys always come in the same order."""
        return {"k": next(self._numbers), "op": op, **values}


def message_view(message: Message, versions: Sequence[str] = ()) -> dict[str, Any]:
    """A message for the transcript; `versions` are the ids of its siblings and its own, oldest first.

    The text of an answer in the making is left out: it comes by its stream, from the first character.
    """
    return {
        "id": message.id,
        "role": message.role,
        "content": "" if message.status == "streaming" else message.content,
        "reasoning": "" if message.status == "streaming" else message.reasoning or "",
        "thought_ms": message.extra.get(THOUGHT_MS),
        "status": message.status,
        "error": sentence(str(message.extra.get("error", ""))),
        "finish_reason": message.finish_reason,
        "versions": list(versions),
        "edited": message.edited,
        "context": message.context,
        "can_continue": can_continue(message),
        "figures": figures(message) if message.role == "assistant" else None,
    }


def figures(message: Message) -> dict[str, Any]:
    """What an answer cost and the settings it was made with; times in milliseconds, None where nothing was measured."""
    return {
        "model": message.model,
        # Seeds may exceed what a JavaScript number holds exactly.
        "seed": None if message.seed is None else str(message.seed),
        "prompt_tokens": message.prompt_tokens,
        "cached_tokens": message.cached_tokens,
        "new_tokens": message.new_tokens,
        "tokens_per_second": round(message.tokens_per_second, 2),
        "ttft_ms": message.ttft_ms,
        "prefill_ms": message.prefill_ms,
        "decode_ms": message.decode_ms,
        "settings": message.settings,
    }


def path_views(store: Store, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages of one path with their versions."""
    if not messages:
        return []
    versions = store.messages.versions(messages[0].conversation_id, {message.parent_id for message in messages})
    return [message_view(message, versions[message.parent_id]) for message in messages]


def memory_view(sight: Sight) -> dict[str, Any]:
    """What the model does not see: the reason by message, and the message its memory begins with."""
    return {"begins": sight.begins, "out": dict(sight.out), "tokens": sight.tokens}


def hit_view(hit: Hit) -> dict[str, Any]:
    """A message that was found, its snippet as [text, is a match] pairs."""
    return {
        "id": hit.message_id,
        "conversation": hit.conversation_id,
        "title": hit.title or t("New chat"),
        "role": hit.role,
        "created_at": hit.created_at,
        "pieces": [list(piece) for piece in hit.pieces],
    }


def row_views(store: Store, chats: Chats, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of the list in the order of `ids`, without those that are not there.

    The browser sorts them under their days, which depend on the user's time zone.
    """
    # Before the rows are read, so that what changes in between is not taken for known.
    revisions = {id: store.revision(id) for id in ids}
    tags, running = store.conversations.tags_of(list(ids)), chats.running
    rows = []
    for conversation in store.conversations.some(ids):
        id = conversation.id
        rows.append(
            conversation_view(conversation, tags.get(id, ()))
            | {"running": id in running, "revision": revisions[id], "deleted": conversation.deleted_at is not None}
        )
    return rows


def conversation_view(conversation: Conversation, tags: Sequence[str] = ()) -> dict[str, Any]:
    """What tells a conversation from others."""
    return {
        "id": conversation.id,
        "title": conversation.title or t("New chat"),
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "tags": list(tags),
        "updated_at": conversation.updated_at,
    }


def sentence(text: str) -> str:
    """An error's one line, as it stands alone on the page, in the language of the request.

    It begins with a capital letter, unless it begins with a name of a file or a model.
    """
    text = told(text)
    first = text.partition(" ")[0].rstrip(",:;")
    return text[:1].upper() + text[1:] if first.isalpha() else text
