"""What happens on the events of the conversation list. Each is a public HTTP endpoint: it takes ids and checks them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.chats import Chats
from app.store import Store
from app.ui.language import t
from app.ui.refusal import refusable, text_of
from app.ui.views import Sequencer, conversation_view

MAX_TAGS_LENGTH = 1_000


class ListHandlers:
    """The list's events on a store and a chat service.

    What they change is told to every page by `app.changes`, so that their own answer is a notice at most.
    """

    def __init__(self, store: Store, chats: Chats, sequence: Sequencer) -> None:
        self.store = store
        self.chats = chats
        self.sequence = sequence

    def choices(self, event: gr.EventData) -> dict[str, Any]:
        """What there is to filter by: models and tags."""
        return self.sequence.stamp(
            "choices", models=self.store.messages.models(), tags=list(self.store.conversations.all_tags())
        )

    @refusable(outputs=1, notice=0)
    def rename(self, event: gr.EventData) -> Any:
        self.store.conversations.rename(text_of(event, "id"), text_of(event, "title"))
        return gr.skip()

    @refusable(outputs=1, notice=0)
    def pin(self, event: gr.EventData) -> Any:
        self.store.conversations.pin(text_of(event, "id"), getattr(event, "pinned", None) is True)
        return gr.skip()

    @refusable(outputs=1, notice=0)
    def archive(self, event: gr.EventData) -> Any:
        self.store.conversations.archive(text_of(event, "id"), getattr(event, "into", None) is True)
        return gr.skip()

    @refusable(outputs=1, notice=0)
    def tag(self, event: gr.EventData) -> Any:
        """Set a conversation's tags, given with commas between them."""
        tags = text_of(event, "tags")[:MAX_TAGS_LENGTH].split(",")
        self.store.conversations.tag(text_of(event, "id"), [tag.strip().lstrip("#") for tag in tags])
        return gr.skip()

    @refusable(outputs=1, notice=0)
    def duplicate(self, event: gr.EventData) -> Any:
        self.chats.duplicate(text_of(event, "id"))
        return gr.skip()

    @refusable(outputs=1, notice=0)
    def remove(self, event: gr.EventData) -> Any:
        """Put a conversation into the trash; an answer in the making is stopped."""
        id = text_of(event, "id")
        self.chats.stop(id)
        self.store.conversations.delete(id)
        return gr.skip()

    @refusable(outputs=1, notice=0)
    def restore(self, event: gr.EventData) -> Any:
        self.store.conversations.restore(text_of(event, "id"))
        return gr.skip()

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
