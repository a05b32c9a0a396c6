"""What happens on the page's events. Each is a public HTTP endpoint: it takes ids and checks everything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar, cast

import gradio as gr

from app.chats import Chats
from app.errors import AppError
from app.models import Models
from app.store import Conversation, NotFound, Store
from app.ui.settings import find_preset, form_values, merged, preset_choices, read_form, setting_values
from app.ui.views import Sequencer, conversation_view, path_views, sentence
from engine import EngineError

F = TypeVar("F", bound=Callable[..., Any])
MAX_QUERY = 1_000


def refusable(outputs: int, notice: int) -> Callable[[F], F]:
    """Turn an expected error into a refusal shown on the page: output number `notice` carries it, all else stays."""

    def decorate(handler: F) -> F:
        @wraps(handler)
        def guarded(self: Handlers, *args: Any) -> Any:
            try:
                return handler(self, *args)
            except (AppError, EngineError) as error:
                values: list[Any] = [gr.skip() for _ in range(outputs)]
                values[notice] = self.sequence.stamp(
                    "notice", text=sentence(" ".join(str(error).split())), kind="error"
                )
                return values[0] if outputs == 1 else values

        return cast(F, guarded)

    return decorate


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

    def load(self, requested_id: str) -> list[Any]:
        """Everything the page shows at first: transcript, list, preset dropdown, drawer."""
        shown, preset_id, *rest = self.open(requested_id)
        return [shown, self.conversations(""), self._dropdown(preset_id), *rest]

    def open(self, requested_id: str) -> list[Any]:
        """Show a conversation, or a new one for "" and for one that is gone: transcript, drawer."""
        conversation, notice = None, ""
        if requested_id:
            try:
                conversation = self._present(requested_id)
            except NotFound:
                notice = "This chat is not here any more."
        messages = self.store.messages.path(conversation.id) if conversation else []
        shown = self.sequence.stamp(
            "show",
            conversation=conversation.id if conversation else "",
            title=conversation.title if conversation else "",
            messages=path_views(self.store, messages),
            notice=notice,
        )
        return [shown, *form_values(self.store, conversation)]

    def open_event(self, event: gr.EventData) -> list[Any]:
        return self.open(_text(event, "id"))

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
            )
        answer = self.store.messages.get(sent.message_id)
        pair = [self.store.messages.get(str(answer.parent_id)), answer]
        appended = self.sequence.stamp(
            "append",
            conversation=sent.conversation_id,
            parent=pair[0].parent_id,
            messages=path_views(self.store, pair),
        )
        return ["", appended, self.conversations("")]

    def ask(self, event: gr.EventData, conversation_id: str, *form: Any) -> list[Any]:
        """Send a starter prompt; as `send`, without the text box."""
        return self.send(conversation_id, _text(event, "text"), *form)[1:]

    @refusable(outputs=1, notice=0)
    def retry(self, event: gr.EventData, conversation_id: str, *form: Any) -> dict[str, Any]:
        """Answer again beside an answer, with the drawer's settings; the transcript."""
        message = self.store.messages.get(_text(event, "id"))
        conversation = self._present(message.conversation_id)
        if conversation.id == conversation_id:
            self._configure(conversation, form)
        self.chats.regenerate(message.id)
        return self.open(conversation.id)[0]

    @refusable(outputs=1, notice=0)
    def version(self, event: gr.EventData) -> dict[str, Any]:
        """Show the branch of another version of an answer; the transcript."""
        message = self.store.messages.get(_text(event, "id"))
        conversation = self._present(message.conversation_id)
        self.store.conversations.select(conversation.id, self.store.messages.leaf(message.id).id)
        return self.open(conversation.id)[0]

    def stop(self, conversation_id: str) -> None:
        """End the answer in the making; what there is stays."""
        if conversation_id:
            self.chats.stop(conversation_id)

    def conversations(self, query: str) -> dict[str, Any]:
        """The list, filtered by title and text."""
        query = query[:MAX_QUERY]
        found = self.store.conversations.list(query=query)
        rows = [conversation_view(conversation) for conversation in found]
        return self.sequence.stamp("list", query=query, conversations=rows)

    def search(self, event: gr.EventData) -> dict[str, Any]:
        return self.conversations(_text(event, "query"))

    @refusable(outputs=1, notice=0)
    def rename(self, event: gr.EventData) -> dict[str, Any]:
        self.store.conversations.rename(_text(event, "id"), _text(event, "title"))
        return self.conversations(_text(event, "query"))

    @refusable(outputs=1, notice=0)
    def pin(self, event: gr.EventData) -> dict[str, Any]:
        self.store.conversations.pin(_text(event, "id"), getattr(event, "pinned", None) is True)
        return self.conversations(_text(event, "query"))

    @refusable(outputs=1, notice=0)
    def remove(self, event: gr.EventData) -> dict[str, Any]:
        """Put a conversation into the trash; an answer in the making is stopped."""
        conversation = self._present(_text(event, "id"))
        self.chats.stop(conversation.id)
        self.store.conversations.delete(conversation.id)
        return self.conversations(_text(event, "query"))

    @refusable(outputs=1, notice=0)
    def restore(self, event: gr.EventData) -> dict[str, Any]:
        self.store.conversations.restore(_text(event, "id"))
        return self.conversations(_text(event, "query"))

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
        preset = self.store.presets.save(_text(event, "name"), read_form(self.store, *form).settings)
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


def _text(event: Any, name: str) -> str:
    """A text the browser sent along with an event; "" where there is none."""
    value = getattr(event, name, "")
    return value if isinstance(value, str) else ""
