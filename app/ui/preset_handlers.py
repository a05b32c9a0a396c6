"""What happens on the events of presets and settings. Each is a public HTTP endpoint: it takes ids and checks them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.chats import Chats
from app.layers import settings_below
from app.store import Conversation, NotFound, Store, StoreError
from app.store.events import CONFIGURE
from app.store.presets import DEFAULT_ID
from app.transfer import preset_file
from app.ui.language import t, told
from app.ui.refusal import refusable, text_of
from app.ui.settings import (
    Form,
    find_preset,
    form_values,
    layers_view,
    merged,
    preset_choices,
    read_form,
    setting_values,
)
from app.ui.views import Sequencer


class PresetHandlers:
    """The drawer's events on a store and a chat service.

    What answers with `shown` gives a notice and then the drawer: where values come from, preset dropdown, settings.
    """

    def __init__(self, store: Store, chats: Chats, sequence: Sequencer) -> None:
        self.store = store
        self.chats = chats
        self.sequence = sequence

    def read(self, *form: Any) -> Form:
        """The drawer as the page sent it; raises InvalidSampling."""
        return read_form(self.store, self.chats.next_answer.recommendation(), *form)

    def remember(self, conversation: Conversation, read: Form) -> None:
        """Keep the drawer in a conversation."""
        self.store.conversations.configure(
            conversation.id,
            system_prompt=read.system_prompt,
            preset_id=read.preset_id,
            settings=merged(conversation, read),
            context_policy=read.context_policy,
        )

    def below(self, preset_id: str) -> dict[str, Any]:
        """All that a preset and the model's recommendation set together."""
        return settings_below(find_preset(self.store, preset_id), self.chats.next_answer.recommendation())

    def layers(self, conversation: Conversation | None, preset_id: str | None = None) -> dict[str, Any]:
        """Where the drawer's values come from; preset_id: for a new conversation."""
        preset = find_preset(self.store, conversation.preset_id if conversation else preset_id)
        event = self.store.events.latest(conversation.id, CONFIGURE) if conversation else None
        view = layers_view(self.store, preset, self.chats.next_answer.recommendation(), event.id if event else "")
        revision = self.store.revision(conversation.id) if conversation else 0
        return self.sequence.stamp(
            "layers",
            revision=revision,
            advised=self.chats.next_answer.is_advised(),
            ignored=[told(line) for line in self.chats.next_answer.ignored_advice()],
            **view,
        )

    def form(self, conversation: Conversation | None) -> list[Any]:
        """The whole drawer: where values come from, then preset, system prompt, policy, settings."""
        preset, *rest = form_values(self.store, conversation, self.chats.next_answer.recommendation())
        return [self.layers(conversation), self.dropdown(preset), *rest]

    def dropdown(self, preset_id: str) -> gr.Dropdown:
        return gr.Dropdown(choices=preset_choices(self.store.presets.list()), value=preset_id)

    def choose(self, conversation_id: str, preset_id: str) -> list[Any]:
        """Set the drawer to a preset, and remember it: where values come from, settings."""
        layers, _, *settings = self._use(conversation_id, find_preset(self.store, preset_id).id)
        return [layers, *settings]

    @refusable(outputs=13, notice=0)
    def save(self, event: gr.EventData, conversation_id: str, *form: Any) -> list[Any]:
        """Save the drawer's settings under a name: the chosen preset's own, or one that is free; `shown`."""
        name, read = " ".join(text_of(event, "name").split()), self.read(*form)
        for holder in self.store.presets.list():
            if holder.name.lower() == name.lower() and not holder.builtin and holder.id != read.preset_id:
                raise StoreError(f"there is a preset {holder.name} already: choose another name")
        preset = self.store.presets.save(name, read.settings)
        return [self._done(t("Saved the preset {name}.", name=preset.name)), *self._use(conversation_id, preset.id)]

    @refusable(outputs=13, notice=0)
    def rename(self, event: gr.EventData, conversation_id: str, *form: Any) -> list[Any]:
        """Rename the chosen preset; `shown`, the settings as they are."""
        preset = self.store.presets.rename(self.read(*form).preset_id, text_of(event, "name"))
        return self._keeping(t("Renamed to {name}.", name=preset.name), conversation_id, preset.id)

    @refusable(outputs=13, notice=0)
    def duplicate(self, conversation_id: str, *form: Any) -> list[Any]:
        """Copy the chosen preset, and choose the copy; `shown`."""
        preset = self.store.presets.duplicate(self.read(*form).preset_id)
        return [self._done(t("Made the preset {name}.", name=preset.name)), *self._use(conversation_id, preset.id)]

    @refusable(outputs=13, notice=0)
    def take_in(self, event: gr.EventData, conversation_id: str, *form: Any) -> list[Any]:
        """Take in a preset's file, and choose it; `shown`."""
        name, settings = preset_file.read(text_of(event, "text").encode("utf-8", "replace"))
        preset = self.store.presets.add(name, settings)
        return [self._done(t("Imported the preset {name}.", name=preset.name)), *self._use(conversation_id, preset.id)]

    @refusable(outputs=13, notice=0)
    def delete(self, conversation_id: str, *form: Any) -> list[Any]:
        """Delete the chosen preset; `shown`, the settings as they are."""
        read = self.read(*form)
        name = find_preset(self.store, read.preset_id).name
        self.store.presets.delete(read.preset_id)
        if conversation_id:
            self.remember(self.store.conversations.present(conversation_id), self.read(DEFAULT_ID, *form[1:]))
        return self._keeping(t("Deleted the preset {name}.", name=name), conversation_id, DEFAULT_ID)

    @refusable(outputs=13, notice=0)
    def reset(self, conversation_id: str, *form: Any) -> list[Any]:
        """Drop the chat's own settings, so that those of its preset hold; `shown`."""
        read = self.read(*form)
        return [gr.skip(), *self._use(conversation_id, read.preset_id)]

    @refusable(outputs=13, notice=0)
    def model_ready(self, conversation_id: str, *form: Any) -> list[Any]:
        """The model was loaded after the page: its recommendation holds where nothing else was chosen."""
        chosen = read_form(self.store, {}, *form)
        conversation = self.store.conversations.present(conversation_id) if conversation_id else None
        settings = setting_values({**self.below(chosen.preset_id), **chosen.overrides})
        # What stays is not sent: a control may be moved before this arrives.
        changed = [gr.skip() if new == old else new for new, old in zip(settings, form[-len(settings) :], strict=True)]
        return [gr.skip(), self.layers(conversation, chosen.preset_id), gr.skip(), *changed]

    @refusable(outputs=15, notice=0)
    def undo(self, conversation_id: str, *form: Any) -> list[Any]:
        """Take back the last change of settings: a notice, the whole drawer."""
        conversation = self.store.conversations.present(conversation_id)
        event = self.store.events.latest(conversation.id, CONFIGURE)
        if event is None:
            raise StoreError("there is no change of settings left to undo in this chat")
        self.store.events.undo(event.id)
        return [
            self._done(t("The settings are as they were before.")),
            *self.form(self.store.conversations.present(conversation.id)),
        ]

    def _use(self, conversation_id: str, preset_id: str) -> list[Any]:
        """Have a preset hold, without settings of the chat's own: where values come from, preset, settings."""
        conversation = None
        try:
            if conversation_id:
                kept = self.store.conversations.present(conversation_id)
                conversation = self.store.conversations.configure(
                    kept.id, system_prompt=kept.system_prompt, preset_id=preset_id, settings={}
                )
        except NotFound:
            # Of a conversation that is gone, its next message tells.
            pass
        return [
            self.layers(conversation, preset_id),
            self.dropdown(preset_id),
            *setting_values(self.below(preset_id)),
        ]

    def _keeping(self, words: str, conversation_id: str, preset_id: str) -> list[Any]:
        """`shown`, with the settings as the page has them."""
        conversation = self.store.conversations.present(conversation_id) if conversation_id else None
        settings = [gr.skip()] * len(setting_values({}))
        return [self._done(words), self.layers(conversation, preset_id), self.dropdown(preset_id), *settings]

    def _done(self, words: str) -> dict[str, Any]:
        return self.sequence.stamp("notice", text=words, kind="done")
