"""Presets: saved, named, copied, shared as files; and the layers a conversation's settings are made of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.fake import ScriptedBackend
from app.store import NotFound, Preset, Store, StoreError
from app.store.events import CONFIGURE
from app.transfer import preset_file
from app.transfer.preset_file import PresetFileError
from engine import InvalidSampling, Sampling
from tests.app.serving import chatting, finish

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def test_a_preset_is_renamed_and_duplicated(store: Store) -> None:
    wild = store.presets.save("Wild", {"temperature": 1.5})
    assert store.presets.rename(wild.id, " Wilder\n").name == "Wilder"
    copy = store.presets.duplicate(wild.id)
    assert (copy.name, copy.settings) == ("Wilder 2", {"temperature": 1.5})
    assert store.presets.duplicate("balanced").name == "Balanced 2"
    assert store.presets.duplicate("balanced").name == "Balanced 3"
    assert not store.presets.get(copy.id).builtin
    with pytest.raises(StoreError, match="already"):
        store.presets.rename(copy.id, "WILDER")
    with pytest.raises(StoreError, match="built in"):
        store.presets.rename("balanced", "Mine")
    with pytest.raises(NotFound):
        store.presets.duplicate("nonsense")
    assert len(store.presets.add("x" * 80, {}).name) == len(store.presets.add("x" * 80, {}).name) == 80


def test_a_preset_goes_out_and_comes_in_unchanged(store: Store) -> None:
    for preset in (
        *store.presets.list(),
        store.presets.save("Ätzend 中", {"stop": ["\n\n"], "logit_bias": {"5": -2.0}}),
    ):
        name, settings = preset_file.read(preset_file.write(preset).encode())
        assert (name, settings) == (preset.name, preset.settings)
        assert store.presets.add(name, settings).settings == preset.settings


@given(JSON)
@example({"format": preset_file.FORMAT, "version": 1, "name": "x", "settings": {"logit_bias": {"9" * 5000: 1}}})
@example({"format": preset_file.FORMAT, "version": 1, "name": "x", "settings": {"temperature": 10**400}})
@example({"format": preset_file.FORMAT, "version": 1, "name": "x", "settings": {"stop": [1]}})
def test_any_json_is_a_preset_or_refused_in_one_line(content: Any) -> None:
    for data in (content, {"format": preset_file.FORMAT, "version": 1, "name": "x", "settings": content}):
        read_or_refuse(json.dumps(data).encode())


@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b"\xff\xfe{}")
@example(b'{"format": "fireside preset", "version": 1, "name": 1}')
@example(b" " * (preset_file.MAX_BYTES + 1))
@example(b"1" * 10_000)
def test_any_bytes_are_a_preset_or_refused_in_one_line(data: bytes) -> None:
    read_or_refuse(data)


def read_or_refuse(data: bytes) -> None:
    try:
        _, settings = preset_file.read(data)
    except PresetFileError as error:
        message = str(error)
    else:
        message = repr(Sampling.from_dict(settings))
    assert len(message.splitlines()) == 1


def test_settings_are_the_conversations_over_the_presets_over_the_models(store: Store) -> None:
    recommended = {"temperature": 0.6, "top_k": 20, "min_p": 0.01, "nonsense": 1, "top_p": 7}
    backend = ScriptedBackend(recommended=recommended)
    partial: Preset = store.presets.save("Partial", {"top_k": 30, "repetition_penalty": 1.2})
    with chatting(store, backend) as chats:
        sent = chats.send(None, "Hello", settings={"repetition_penalty": 1.3}, preset_id=partial.id)
        answer = finish(chats, store, sent)
        layers = chats.next_answer.settings(sent.conversation_id)
        # What is not valid of a recommendation is left aside.
        assert layers.model == {"temperature": 0.6, "top_k": 20, "min_p": 0.01}
        assert layers.preset == partial
        assert layers.conversation == {"repetition_penalty": 1.3}
        effective = layers.effective
        assert (effective.temperature, effective.top_k, effective.repetition_penalty) == (0.6, 30, 1.3)
        names = ("repetition_penalty", "top_k", "temperature", "seed")
        assert [layers.source(name) for name in names] == ["conversation", "preset", "model", "default"]
        assert answer.settings["temperature"] == 0.6

        again = chats.regenerate(sent.message_id, {"temperature": 0.0, "seed": 3})
        once = finish(chats, store, again)
        assert (once.settings["temperature"], once.seed) == (0.0, 3)
        assert chats.next_answer.settings(sent.conversation_id) == layers
        with pytest.raises(InvalidSampling):
            chats.regenerate(sent.message_id, {"temperature": -1})
        assert store.messages.siblings(again.message_id)[-1].id == again.message_id

        store.conversations.reset(sent.conversation_id)
        assert chats.next_answer.settings(sent.conversation_id).effective.repetition_penalty == 1.2
        event = store.events.latest(sent.conversation_id)
        assert event is not None
        store.events.undo(event.id)
        assert chats.next_answer.settings(sent.conversation_id) == layers


def test_the_default_preset_leaves_what_the_model_recommends_in_force(store: Store) -> None:
    backend = ScriptedBackend(recommended={"temperature": 0.6, "top_p": 0.8})
    with chatting(store, backend) as chats:
        sent = chats.send(None, "Hello")
        answer = finish(chats, store, sent)
        layers = chats.next_answer.settings(sent.conversation_id)
        assert (layers.effective.temperature, layers.effective.top_p, layers.effective.top_k) == (0.6, 0.8, 40)
        assert [layers.source(name) for name in ("temperature", "top_k")] == ["model", "preset"]
        assert answer.settings["temperature"] == 0.6
        # Any other preset was chosen, and holds.
        precise = chats.send(None, "Hello", preset_id="precise")
        assert finish(chats, store, precise).settings["temperature"] == 0.2
        assert chats.next_answer.settings(precise.conversation_id).source("temperature") == "preset"


def test_a_slider_that_is_drawn_is_one_change_to_undo(store: Store) -> None:
    conversation = store.conversations.create(settings={"top_k": 3})
    for temperature in (0.5, 0.6, 0.7):
        configure(store, conversation.id, {"top_k": 3, "temperature": temperature})
    configure(store, conversation.id, {"top_k": 9, "temperature": 0.7})
    undone = []
    while event := store.events.latest(conversation.id, CONFIGURE):
        store.events.undo(event.id)
        undone.append(store.conversations.get(conversation.id).settings)
    assert undone == [{"top_k": 3, "temperature": 0.7}, {"top_k": 3}]


def configure(store: Store, id: str, settings: dict[str, float]) -> None:
    store.conversations.configure(id, system_prompt="", preset_id=None, settings=settings)
