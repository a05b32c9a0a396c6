"""What happens on the events of messages. Each is a public HTTP endpoint: it takes ids and checks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from app.chats import ChatError, Chats
from app.store import Store
from app.ui.language import t
from app.ui.refusal import refusable, text_of
from app.ui.views import Sequencer

Show = Callable[..., dict[str, Any]]


class MessageHandlers:
    """The transcript's events on a store and a chat service. Every answer is the conversation as it is to be shown.

    show: makes that, of a conversation's id and what is to be told besides.
    """

    def __init__(self, store: Store, chats: Chats, sequence: Sequencer, show: Show) -> None:
        self.store = store
        self.chats = chats
        self.sequence = sequence
        self._show = show

    @refusable(outputs=1, notice=0)
    def version(self, event: gr.EventData) -> dict[str, Any]:
        """Show the branch of another version of a message, or of one that was found by a search."""
        message = self.store.branches.show(text_of(event, "id"))
        focus = message.id if getattr(event, "found", None) is True else ""
        return self._show(message.conversation_id, focus=focus)

    @refusable(outputs=1, notice=0)
    def edit(self, event: gr.EventData) -> dict[str, Any]:
        """Write a message anew, beside the old one."""
        sent = self.chats.edit(text_of(event, "id"), text_of(event, "text"))
        return self._show(sent.conversation_id, undo=self._latest(sent.conversation_id), done=t("Edited."))

    @refusable(outputs=1, notice=0)
    def go_on(self, event: gr.EventData) -> dict[str, Any]:
        """Continue an answer that was stopped, cut off or interrupted."""
        return self._show(self.chats.continue_answer(text_of(event, "id")).conversation_id)

    @refusable(outputs=1, notice=0)
    def delete(self, event: gr.EventData) -> dict[str, Any]:
        """Put a message into the trash, with all that follows it unless it is to go alone."""
        message = self.store.messages.get(text_of(event, "id"))
        undo = self.chats.delete(message.id, subtree=getattr(event, "alone", None) is not True)
        return self._show(message.conversation_id, undo=undo, done=t("Deleted."))

    @refusable(outputs=1, notice=0)
    def undo(self, event: gr.EventData) -> dict[str, Any]:
        """Take back what an event tells of."""
        done = self.store.events.get(text_of(event, "event"))
        if self.chats.live_in(done.conversation_id):
            raise ChatError("this chat is being answered: stop the answer first, then undo")
        self.store.events.undo(done.id)
        return self._show(done.conversation_id)

    @refusable(outputs=1, notice=0)
    def branch(self, event: gr.EventData) -> dict[str, Any]:
        """Begin a new conversation with a copy of all up to a message; the new one is shown."""
        return self._show(self.chats.fork(text_of(event, "id")).id)

    @refusable(outputs=1, notice=0)
    def context(self, event: gr.EventData) -> dict[str, Any]:
        """Pin a message into the model's sight, keep it out, or leave it to the policy."""
        wanted = text_of(event, "wanted")
        message = self.store.branches.present(text_of(event, "id"))
        self.store.messages.update(message.id, context=wanted if wanted in ("pinned", "excluded") else None)
        return self._show(message.conversation_id)

    def _latest(self, conversation_id: str) -> str:
        event = self.store.events.latest(conversation_id)
        return event.id if event else ""
