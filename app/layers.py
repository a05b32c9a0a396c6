"""Sampling settings in layers: the model's recommendation, the preset over it, the conversation's own on top.

The default preset is the exception: it is what holds where the model's publisher says nothing, so it lies below the
recommendation. It sets everything, and would otherwise hide the recommendation from all who never chose a preset.
"""

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
        return source_below(self.preset, self.model, name)


def sources(layers: Layers, once: Mapping[str, Any], once_from: str = "message") -> dict[str, list[str]]:
    """The names of the settings that each layer decides; `default` ones are left out.

    once: over all others, for one answer, and where these come from.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(_NAMES):
        source = once_from if name in once else layers.source(name)
        if source != "default":
            found.setdefault(source, []).append(name)
    return found


def layers_of(store: Store, conversation: Conversation, info: EngineInfo | None, once: Mapping[str, Any]) -> Layers:
    """The layers of a conversation. info: of the loaded model. once: over all others, for one answer.

    Raises InvalidSampling if the settings do not go together.
    """
    preset = store.presets.get(conversation.preset_id or DEFAULT_ID)
    model = recommendation(info)
    effective = Sampling.from_dict({**settings_below(preset, model), **conversation.settings, **once})
    return Layers(model, preset, conversation.settings, effective)


def settings_below(preset: Preset, model: Mapping[str, Any]) -> dict[str, Any]:
    """What holds where the conversation says nothing: a preset and a model's recommendation together."""
    return {**preset.settings, **model} if preset.id == DEFAULT_ID else {**model, **preset.settings}


def source_below(preset: Preset, model: Mapping[str, Any], name: str) -> str:
    """Which of the two decides a setting: `preset`, `model`, or `default` for neither."""
    if name in model and (preset.id == DEFAULT_ID or name not in preset.settings):
        return "model"
    return "preset" if name in preset.settings else "default"


def recommendation(info: EngineInfo | None) -> dict[str, Any]:
    """What the publisher of the loaded model recommends, as far as it is valid; nothing while none is loaded."""
    return _sound(info.recommended) if info else {}


def _sound(recommended: Mapping[str, Any]) -> dict[str, Any]:
    """What is valid of a model's recommendation: it comes out of a file, and must not keep the model from answering."""
    sound: dict[str, Any] = {}
    for name in _NAMES & set(recommended):
        try:
            sound[name] = Sampling.from_dict({name: recommended[name]}).to_dict()[name]
        except InvalidSampling:
            continue
    return sound
