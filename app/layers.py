"""Sampling settings in layers: the model's recommendation, the preset over it, the conversation's own on top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from app.store import Conversation, Preset, Store
from app.store.presets import DEFAULT_ID
from engine import EngineInfo, InvalidSampling, Sampling

_NAMES = frozenset(field.name for field in fields(Sampling))


@dataclass(frozen=True, slots=True)
class Layers:
    """Where a conversation's settings come from, each layer by itself.

    model: what the model's publisher recommends. preset: the conversation's, or the default one. conversation: its own
    overrides. effective: all of it together; what no layer sets is as in `engine.Sampling`.
    """

    model: Mapping[str, Any]
    preset: Preset
    conversation: Mapping[str, Any]
    effective: Sampling

    def source(self, name: str) -> str:
        """Which layer decides a setting: `conversation`, `preset`, `model` or `default`."""
        if name in self.conversation:
            return "conversation"
        if name in self.preset.settings:
            return "preset"
        return "model" if name in self.model else "default"


def layers_of(store: Store, conversation: Conversation, info: EngineInfo | None, once: Mapping[str, Any]) -> Layers:
    """The layers of a conversation. info: of the loaded model. once: over all others, for one answer.

    Raises InvalidSampling if the settings do not go together.
    """
    preset = store.presets.get(conversation.preset_id or DEFAULT_ID)
    model = _sound(info.recommended) if info else {}
    effective = Sampling.from_dict({**model, **preset.settings, **conversation.settings, **once})
    return Layers(model, preset, conversation.settings, effective)


def _sound(recommended: Mapping[str, Any]) -> dict[str, Any]:
    """What is valid of a model's recommendation: it comes out of a file, and must not keep the model from answering."""
    sound: dict[str, Any] = {}
    for name in _NAMES & set(recommended):
        try:
            sound[name] = Sampling.from_dict({name: recommended[name]}).to_dict()[name]
        except InvalidSampling:
            continue
    return sound
