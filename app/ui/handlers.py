"""What happens on the page's events. Each is a public HTTP endpoint: it takes ids and checks everything."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.library import ModelLibrary
from app.store import Conversation, NotFound
from app.ui.language import t
from app.ui.list_handlers import ListHandlers
from app.ui.message_handlers import MessageHandlers
from app.ui.model_handlers import ModelHandlers
from app.ui.preset_handlers import PresetHandlers
from app.ui.refusal import refusable, text_of
from app.ui.views import Sequencer, memory_view, path_views
from app.workspace import Workspace
from engine import Sampling


class Handlers:
    """One person's events of the page: on that person's store and chats, and on the model. See `app.ui.events`.

    `conversation_id` is the id of the open conversation, "" for a new one. `form` is the drawer: preset, system
    prompt, policy, then the settings in the order of `app.ui.settings.NAMES`.
    """

    def __init__(self, workspace: Workspace, library: ModelLibrary, sequence: Sequencer) -> None:
        self.store = store = workspace.store
        self.chats = chats = workspace.chats
        self.sequence = sequence
        self.list = ListHandlers(store, chats, self.sequence)
        self.preset = PresetHandlers(store, chats, self.sequence)
        self.model = ModelHandlers(workspace, library, self.sequence)
        self.message = MessageHandlers(store, chats, self.sequence, self.show)

    def load(self, requested_id: str) -> list[Any]:
        """What the page shows at first beside the list: transcript, drawer."""
        return self.open(requested_id)

    def open(self, requested_id: str) -> list[Any]:
        """Show a conversation, or a new one for "" and for one that is gone: transcript, drawer."""
        conversation, notice = None, ""
        if requested_id:
            try:
                conversation = self.store.conversations.present(requested_id)
            except NotFound:
                notice = t("This chat is not here any more.")
        return [self.show(conversation, asked=requested_id, notice=notice), *self.preset.form(conversation)]

    def sync(self, event: gr.EventData) -> Any:
        """A conversation that the page shows already and that was changed elsewhere; the transcript."""
        try:
            return self.show(self.store.conversations.present(text_of(event, "id")))
        except NotFound:
            return gr.skip()

    def show(
        self,
        shown: Conversation | str | None,
        *,
        asked: str | None = None,
        notice: str = "",
        focus: str = "",
        undo: str = "",
        done: str = "",
    ) -> dict[str, Any]:
        """A conversation for the transcript; None for a new one.

        asked: the id that was to be opened, by which the page knows an answer that comes too late; None where what is
        shown stays open. notice: what went wrong. focus: the message to bring into view. undo: the event that takes
        back what was done, and done: what that was.
        """
        conversation = self.store.conversations.present(shown) if isinstance(shown, str) else shown
        revision = self.store.revision(conversation.id) if conversation else 0
        path = self.store.messages.path(conversation.id) if conversation else []
        return self.sequence.stamp(
            "show",
            asked=asked,
            conversation=conversation.id if conversation else "",
            revision=revision,
            title=conversation.title if conversation else "",
            messages=path_views(self.store, path),
            memory=memory_view(self.chats.next_answer.sight(conversation.id, path)) if conversation else None,
            notice=notice,
            focus=focus,
            undo=undo,
            done=done,
        )

    def open_event(self, event: gr.EventData) -> list[Any]:
        return self.open(text_of(event, "id"))

    @refusable(outputs=1, notice=0)
    def ask(self, event: gr.EventData, *form: Any) -> dict[str, Any]:
        """Send a message into the conversation that the event names, "" for a new one; the transcript.

        What is refused stays in the page's box. The answer names the event's `nonce`, so that the page knows which of
        its messages was taken.
        """
        conversation_id, text = text_of(event, "conversation"), text_of(event, "text")
        read = self.preset.read(*form)
        if conversation_id:
            conversation = self.store.conversations.present(conversation_id)
            self.preset.remember(conversation, read)
            sent = self.chats.send(conversation.id, text)
        else:
            sent = self.chats.send(
                None,
                text,
                settings=read.overrides,
                system_prompt=read.system_prompt,
                preset_id=read.preset_id,
                context_policy=read.context_policy,
            )
        revision = self.store.revision(sent.conversation_id)
        answer = self.store.messages.get(sent.message_id)
        pair = [self.store.messages.get(str(answer.parent_id)), answer]
        return self.sequence.stamp(
            "append",
            conversation=sent.conversation_id,
            revision=revision,
            parent=pair[0].parent_id,
            messages=path_views(self.store, pair),
            nonce=text_of(event, "nonce")[:64],
        )

    @refusable(outputs=1, notice=0)
    def retry(self, event: gr.EventData, conversation_id: str, *form: Any) -> dict[str, Any]:
        """Answer again beside an answer, with the drawer's settings; the transcript.

        For this once with all the settings of a preset, or with another temperature, where the event names one.
        """
        message = self.store.messages.get(text_of(event, "id"))
        conversation = self.store.conversations.present(message.conversation_id)
        if conversation.id == conversation_id:
            self.preset.remember(conversation, self.preset.read(*form))
        once: dict[str, Any] = {}
        if preset_id := text_of(event, "preset"):
            once = dict(Sampling.from_dict(self.preset.below(preset_id)).to_dict())
        if (temperature := getattr(event, "temperature", None)) is not None:
            once = {"temperature": temperature}
        self.chats.regenerate(message.id, once)
        return self.show(conversation.id)

    def stop(self, conversation_id: str) -> None:
        """End the answer in the making; what there is stays."""
        if conversation_id:
            self.chats.stop(conversation_id)

    @refusable(outputs=2, notice=0)
    def configure(self, conversation_id: str, *form: Any) -> list[Any]:
        """Remember the drawer in the conversation; a new one takes it along with its first message.

        The transcript, for a notice, and where the drawer's values come from.
        """
        read = self.preset.read(*form)
        if not conversation_id:
            return [gr.skip(), gr.skip()]
        conversation = self.store.conversations.present(conversation_id)
        self.preset.remember(conversation, read)
        return [gr.skip(), self.preset.layers(self.store.conversations.present(conversation_id))]
