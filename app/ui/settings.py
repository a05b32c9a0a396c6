"""Between the drawer's controls and sampling settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.layers import settings_below, source_below
from app.store import Conversation, NotFound, Preset, Store
from app.store.presets import DEFAULT_ID
from app.store.records import ContextPolicy
from app.ui.language import t
from engine import InvalidSampling, Sampling

RANDOM = "-1"
NO_LIMIT = 0


@dataclass(frozen=True, slots=True)
class Range:
    """A slider: the setting's name, its label, its bounds and step, and a line of help."""

    name: str
    label: str
    low: float
    high: float
    step: float
    info: str


RANGES = (
    Range("temperature", "Temperature", 0, 2, 0.05, "0 always takes the likeliest"),
    Range("top_k", "Top-k", 0, 200, 1, "Only the k likeliest; 0 = all"),
    Range("top_p", "Top-p", 0.01, 1, 0.01, "Only the likeliest share"),
    Range("min_p", "Min-p", 0, 0.99, 0.01, "Drops the very unlikely"),
    Range("repetition_penalty", "Repetition penalty", 0.5, 2, 0.01, "Above 1 repeats less"),
    Range("presence_penalty", "Presence penalty", -2, 2, 0.05, "Above 0 brings new words"),
    Range("frequency_penalty", "Frequency penalty", -2, 2, 0.05, "Above 0 repeats less often"),
    Range("max_tokens", "Max new tokens", NO_LIMIT, 8192, 1, "0 = to the end of the context"),
)
NAMES = (*(each.name for each in RANGES), "seed", "stop")
# What is read in the drawer, and the policy behind it.
POLICY_CHOICES: tuple[tuple[str, ContextPolicy], ...] = (
    ("Leave out the oldest messages", "drop_oldest"),
    ("Refuse the message", "refuse"),
)


@dataclass(frozen=True, slots=True)
class Form:
    """The drawer as read from the page: a known preset, checked settings that differ from it, and so on."""

    preset_id: str
    overrides: dict[str, Any]
    settings: dict[str, Any]
    system_prompt: str
    context_policy: ContextPolicy


def read_form(
    store: Store, model: Mapping[str, Any], preset_id: Any, system_prompt: Any, policy: Any, *values: Any
) -> Form:
    """Parse what the page sent, in the order of NAMES; model: what its publisher recommends.

    Raises InvalidSampling; an unknown preset is the default.
    """
    preset = find_preset(store, preset_id)
    settings = dict(zip(NAMES, values, strict=True))
    for each in RANGES:
        settings[each.name] = _clamped(settings[each.name], each)
    settings["max_tokens"] = settings["max_tokens"] or None
    settings["seed"] = _seed(settings["seed"])
    settings["stop"] = [line.replace("\\n", "\n") for line in str(settings["stop"] or "").splitlines() if line]
    checked = Sampling.from_dict(settings).to_dict()
    settings = {name: checked[name] for name in NAMES}
    base = Sampling.from_dict(settings_below(preset, model)).to_dict()
    overrides = {name: value for name, value in settings.items() if base[name] != value}
    return Form(
        preset.id, overrides, settings, str(system_prompt or ""), "refuse" if policy == "refuse" else "drop_oldest"
    )


def form_values(store: Store, conversation: Conversation | None, model: Mapping[str, Any]) -> list[Any]:
    """What the drawer shows for a conversation (None: a new one): preset, system prompt, policy, then NAMES."""
    preset = find_preset(store, conversation.preset_id if conversation else None)
    settings = {**settings_below(preset, model), **(conversation.settings if conversation else {})}
    policy = conversation.context_policy if conversation else POLICY_CHOICES[0][1]
    return [preset.id, conversation.system_prompt if conversation else "", policy, *setting_values(settings)]


def layers_view(store: Store, preset: Preset, model: Mapping[str, Any], undo: str) -> dict[str, Any]:
    """What the drawer tells of where its values come from: below the chat's own, in the order of NAMES.

    undo: the event of the last change of settings, "" where there is none to take back.
    """
    return {
        "names": list(NAMES),
        "below": setting_values(settings_below(preset, model)),
        "sources": [source_below(preset, model, name) for name in NAMES],
        "preset": {"id": preset.id, "name": shown_name(preset), "builtin": preset.builtin},
        "presets": [{"id": each.id, "name": shown_name(each)} for each in store.presets.list()],
        "undo": undo,
    }


def setting_values(settings: Mapping[str, Any]) -> list[Any]:
    """The controls' values for some settings, in the order of NAMES."""
    full = Sampling.from_dict(settings).to_dict()
    full["max_tokens"] = full["max_tokens"] or NO_LIMIT
    values: list[Any] = [_clamped(full[each.name], each) for each in RANGES]
    seed = RANDOM if full["seed"] is None else str(full["seed"])
    return [*values, seed, "\n".join(text.replace("\n", "\\n") for text in full["stop"])]


def merged(conversation: Conversation, form: Form) -> dict[str, Any]:
    """The conversation's overrides with the drawer's; those the drawer does not show stay."""
    kept = {name: value for name, value in conversation.settings.items() if name not in NAMES}
    return {**kept, **form.overrides}


def find_preset(store: Store, preset_id: Any) -> Preset:
    """The preset, or the default one where it is unknown."""
    try:
        return store.presets.get(str(preset_id or DEFAULT_ID))
    except NotFound:
        return store.presets.get(DEFAULT_ID)


def preset_choices(presets: Sequence[Preset]) -> list[tuple[str, str]]:
    """For the dropdown: what is read, and the id behind it."""
    return [(shown_name(preset), preset.id) for preset in presets]


def shown_name(preset: Preset) -> str:
    """A preset's name; that of one of ours in the language of the request."""
    return t(preset.name) if preset.builtin else preset.name


def _clamped(value: Any, bounds: Range) -> float:
    number = float(value) if isinstance(value, (int, float)) and value == value else bounds.low
    number = min(max(number, bounds.low), bounds.high)
    return int(number) if bounds.step == 1 else round(number, 4)


def _seed(text: Any) -> int | None:
    text = str(text if text is not None else "").strip()
    if text in ("", RANDOM):
        return None
    # int() alone would also take "1_000" and other scripts' digits, and is slow on very long ones.
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        message = f"the seed must be -1 or a whole number from 0 to {2**63 - 1}, not {text!r:.40}"
        raise InvalidSampling(message, "seed")
    return int(text)
