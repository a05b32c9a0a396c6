"""What happens on the events of the conversation list. Each is a public HTTP endpoint: it takes ids and checks them."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from app.chats import Chats
from app.store import Store
from app.store.search import Filters
from app.ui.language import t
from app.ui.refusal import refusable, text_of
from app.ui.views import Sequencer, conversation_view, hit_view

MAX_QUERY = 1_000
HITS = 30
MAX_FILTER = 200
EVERYTHING = Filters()


def read_filters(event: gr.EventData) -> Filters:
    """The filters the browser sent along; whatever is none of the known is left open."""
    sent = getattr(event, "filters", None)
    sent = sent if isinstance(sent, dict) else {}
    texts = {name: str(sent.get(name) or "")[:MAX_FILTER] for name in ("model", "since", "until", "tag")}
    role = sent.get("role")
    return Filters(
        role=role if role in ("user", "assistant") else None,
        pinned=True if sent.get("pinned") is True else None,
        conversation_id=str(sent.get("conversation_id") or "")[:MAX_FILTER],
        **texts,
    )


class ListHandlers:
    """The list's events on a store and a chat service. Every answer is the list anew, as the browser asked for it:
    its search words, and whether it shows the archive."""

    def __init__(self, store: Store, chats: Chats, sequence: Sequencer) -> None:
        self.store = store
        self.chats = chats
        self.sequence = sequence

    def list(self, query: str = "", archived: bool = False, filters: Filters = EVERYTHING) -> dict[str, Any]:
        """The conversations, and the messages that have the words; `#tag` among the words filters by a tag.

        Filters alone narrow the conversations only: what messages are asked for has to have words.
        """
        query = query[:MAX_QUERY]
        words = " ".join(word for word in query.split() if not word.startswith("#"))
        tag = next((word[1:] for word in query.split() if word.startswith("#")), "")
        asked = replace(filters, tag=tag) if tag else filters
        found = self.store.conversations.list(query=words, archived=archived, filters=asked)
        tags = self.store.conversations.tags_of([conversation.id for conversation in found])
        hits = self.store.messages.search(words, HITS, asked)
        return self.sequence.stamp(
            "list",
            query=query,
            archived=archived,
            filters=asdict(filters),
            conversations=[conversation_view(each, tags.get(each.id, ())) for each in found],
            hits=[hit_view(hit) for hit in hits],
        )

    def search(self, event: gr.EventData) -> dict[str, Any]:
        return self.list(text_of(event, "query"), getattr(event, "archived", None) is True, read_filters(event))

    def choices(self, event: gr.EventData) -> dict[str, Any]:
        """What there is to filter by: models and tags."""
        return self.sequence.stamp(
            "choices", models=self.store.messages.models(), tags=list(self.store.conversations.all_tags())
        )

    @refusable(outputs=1, notice=0)
    def rename(self, event: gr.EventData) -> dict[str, Any]:
        self.store.conversations.rename(text_of(event, "id"), text_of(event, "title"))
        return self.search(event)

    @refusable(outputs=1, notice=0)
    def pin(self, event: gr.EventData) -> dict[str, Any]:
        self.store.conversations.pin(text_of(event, "id"), getattr(event, "pinned", None) is True)
        return self.search(event)

    @refusable(outputs=1, notice=0)
    def archive(self, event: gr.EventData) -> dict[str, Any]:
        self.store.conversations.archive(text_of(event, "id"), getattr(event, "into", None) is True)
        return self.search(event)

    @refusable(outputs=1, notice=0)
    def tag(self, event: gr.EventData) -> dict[str, Any]:
        """Set a conversation's tags, given with commas between them."""
        tags = text_of(event, "tags")[:MAX_QUERY].split(",")
        self.store.conversations.tag(text_of(event, "id"), [tag.strip().lstrip("#") for tag in tags])
        return self.search(event)

    @refusable(outputs=1, notice=0)
    def duplicate(self, event: gr.EventData) -> dict[str, Any]:
        self.chats.duplicate(text_of(event, "id"))
        return self.search(event)

    @refusable(outputs=1, notice=0)
    def remove(self, event: gr.EventData) -> dict[str, Any]:
        """Put a conversation into the trash; an answer in the making is stopped."""
        id = text_of(event, "id")
        self.chats.stop(id)
        self.store.conversations.delete(id)
        return self.search(event)

    @refusable(outputs=1, notice=0)
    def restore(self, event: gr.EventData) -> dict[str, Any]:
        self.store.conversations.restore(text_of(event, "id"))
        return self.search(event)

    @refusable(outputs=1, notice=0)
    def trash(self, event: gr.EventData) -> dict[str, Any]:
        """What is in the trash."""
        return self.sequence.stamp(
            "trash",
            days=self.store.preferences.get("trash_days"),
            conversations=[conversation_view(each) for each in self.store.trash.conversations()],
            messages=[
                {
                    "event": each.event_id,
                    "title": each.title or t("New chat"),
                    "text": each.beginning,
                    "count": each.count,
                }
                for each in self.store.trash.messages()
            ],
        )

    @refusable(outputs=1, notice=0)
    def restore_messages(self, event: gr.EventData) -> dict[str, Any]:
        """Take messages out of the trash, by the event that put them there; the trash."""
        self.store.events.undo(text_of(event, "event"))
        return self.trash(event)

    @refusable(outputs=1, notice=0)
    def erase(self, event: gr.EventData) -> dict[str, Any]:
        """Erase one conversation for good, or with no id all that is in the trash; the trash."""
        if id := text_of(event, "id"):
            self.store.trash.erase(id)
        else:
            self.store.trash.empty()
        return self.trash(event)
