"""What happens on the page's events. Each is a public HTTP endpoint: it takes ids and checks everything."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import gradio as gr

from app.chats import Chats
from app.models import Models
from app.store import Conversation, NotFound, Store
from app.ui.list_handlers import ListHandlers
from app.ui.message_handlers import MessageHandlers
from app.ui.refusal import refusable, text_of
from app.ui.settings import find_preset, form_values, merged, preset_choices, read_form, setting_values
from app.ui.views import Sequencer, memory_view, path_views


class Handlers:
    """The page's events on a store, a chat service and a model.

    `conversation_id` is the id of the open conversation, "" for a new one. `form` is the drawer: preset, system
    prompt, then the settings in the order of `app.ui.settings.NAMES`.
    """

    def __init__(self, store: Store, chats: Chats, models: Models) -> None:
        self.store = store
        self.chats = chats
        self.models = models
        self.sequence = Sequencer()
        self.list = ListHandlers(store, chats, self.sequence)
        self.message = MessageHandlers(store, chats, self.sequence, self.show)

    def load(self, requested_id: str) -> list[Any]:
        """Everything the page shows at first: transcript, list, preset dropdown, drawer."""
        shown, preset_id, *rest = self.open(requested_id)
        return [shown, self.list.list(), self._dropdown(preset_id), *rest]

    def open(self, requested_id: str) -> list[Any]:
        """Show a conversation, or a new one for "" and for one that is gone: transcript, drawer."""
        conversation, notice = None, ""
        if requested_id:
            try:
                conversation = self._present(requested_id)
            except NotFound:
                notice = "This chat is not here any more."
        return [self.show(conversation, notice=notice), *form_values(self.store, conversation)]

    def show(
        self, shown: Conversation | str | None, *, notice: str = "", focus: str = "", undo: str = "", done: str = ""
    ) -> dict[str, Any]:
        """A conversation for the transcript; None for a new one.

        notice: what went wrong. focus: the message to bring into view. undo: the event that takes back what was done,
        and done: what that was.
        """
        conversation = self._present(shown) if isinstance(shown, str) else shown
        path = self.store.messages.path(conversation.id) if conversation else []
        return self.sequence.stamp(
            "show",
            conversation=conversation.id if conversation else "",
            title=conversation.title if conversation else "",
            messages=path_views(self.store, path),
            memory=memory_view(self.chats.context_of(conversation.id, path)) if conversation else None,
            notice=notice,
            focus=focus,
            undo=undo,
            done=done,
        )

    def open_event(self, event: gr.EventData) -> list[Any]:
        return self.open(text_of(event, "id"))

    @refusable(outputs=3, notice=1)
    def send(self, conversation_id: str, text: str, *form: Any) -> list[Any]:
        """Send a message: text box, transcript, list. What is refused stays in the box."""
        read = read_form(self.store, *form)
        if conversation_id:
            conversation = self._present(conversation_id)
            self._configure(conversation, form)
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
        answer = self.store.messages.get(sent.message_id)
        pair = [self.store.messages.get(str(answer.parent_id)), answer]
        appended = self.sequence.stamp(
            "append",
            conversation=sent.conversation_id,
            parent=pair[0].parent_id,
            messages=path_views(self.store, pair),
        )
        return ["", appended, self.list.list()]

    def ask(self, event: gr.EventData, conversation_id: str, *form: Any) -> list[Any]:
        """Send a starter prompt; as `send`, without the text box."""
        return self.send(conversation_id, text_of(event, "text"), *form)[1:]

    @refusable(outputs=1, notice=0)
    def retry(self, event: gr.EventData, conversation_id: str, *form: Any) -> dict[str, Any]:
        """Answer again beside an answer, with the drawer's settings; the transcript."""
        message = self.store.messages.get(text_of(event, "id"))
        conversation = self._present(message.conversation_id)
        if conversation.id == conversation_id:
            self._configure(conversation, form)
        self.chats.regenerate(message.id)
        return self.show(conversation.id)

    def stop(self, conversation_id: str) -> None:
        """End the answer in the making; what there is stays."""
        if conversation_id:
            self.chats.stop(conversation_id)

    @refusable(outputs=1, notice=0)
    def configure(self, conversation_id: str, *form: Any) -> Any:
        """Remember the drawer in the conversation; a new one takes it along with its first message."""
        if conversation_id:
            self._configure(self._present(conversation_id), form)
        else:
            read_form(self.store, *form)
        return gr.skip()

    def choose_preset(self, conversation_id: str, preset_id: str) -> list[Any]:
        """Set the drawer to a preset and remember it: the settings."""
        preset = find_preset(self.store, preset_id)
        self._use_preset(conversation_id, preset.id)
        return setting_values(preset.settings)

    @refusable(outputs=2, notice=1)
    def save_preset(self, event: gr.EventData, conversation_id: str, *form: Any) -> list[Any]:
        """Save the drawer's settings under a name: preset dropdown, transcript (for the notice)."""
        preset = self.store.presets.save(text_of(event, "name"), read_form(self.store, *form).settings)
        self._use_preset(conversation_id, preset.id)
        notice = self.sequence.stamp("notice", text=f"Saved the preset {preset.name}.", kind="done")
        return [self._dropdown(preset.id), notice]

    @refusable(outputs=2, notice=1)
    def delete_preset(self, conversation_id: str, *form: Any) -> list[Any]:
        """Delete the chosen preset; the settings stay as they are: preset dropdown, transcript."""
        read = read_form(self.store, *form)
        name = find_preset(self.store, read.preset_id).name
        self.store.presets.delete(read.preset_id)
        default = find_preset(self.store, None)
        if conversation_id:
            self._configure(self._present(conversation_id), [default.id, *form[1:]])
        notice = self.sequence.stamp("notice", text=f"Deleted the preset {name}.", kind="done")
        return [self._dropdown(default.id), notice]

    def retry_model(self) -> None:
        self.models.retry()

    def _present(self, conversation_id: str) -> Conversation:
        conversation = self.store.conversations.get(conversation_id)
        if conversation.deleted_at:
            raise NotFound("conversation", conversation_id)
        return conversation

    def _configure(self, conversation: Conversation, form: Any) -> None:
        read = read_form(self.store, *form)
        self.store.conversations.configure(
            conversation.id,
            system_prompt=read.system_prompt,
            preset_id=read.preset_id,
            settings=merged(conversation, read),
            context_policy=read.context_policy,
        )

    def _use_preset(self, conversation_id: str, preset_id: str) -> None:
        # Of a conversation that is gone, its next message tells.
        with suppress(NotFound):
            if conversation_id:
                conversation = self._present(conversation_id)
                self.store.conversations.configure(
                    conversation.id, system_prompt=conversation.system_prompt, preset_id=preset_id, settings={}
                )

    def _dropdown(self, preset_id: str) -> gr.Dropdown:
        return gr.Dropdown(choices=preset_choices(self.store.presets.list()), value=preset_id)
