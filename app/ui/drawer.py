"""The settings drawer: native controls for the preset, the system prompt and the sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.store.presets import BALANCED, BUILTIN, DEFAULT_ID
from app.ui.components import preset_buttons
from app.ui.labels import label
from app.ui.settings import POLICY_CHOICES, RANGES, setting_values


@dataclass(frozen=True, slots=True)
class Drawer:
    """The controls; `settings` are in the order of `app.ui.settings.NAMES`."""

    preset: gr.Dropdown
    buttons: gr.HTML
    system_prompt: gr.Textbox
    policy: gr.Dropdown
    settings: tuple[Any, ...]

    @property
    def shown(self) -> list[Any]:
        """What a change of the preset shows anew: where values come from, preset, settings."""
        return [self.buttons, self.preset, *self.settings]

    @property
    def form(self) -> list[Any]:
        """What handlers take: preset, system prompt, policy, settings."""
        return [self.preset, self.system_prompt, self.policy, *self.settings]


def build_drawer() -> Drawer:
    """Call inside a layout block. The values are those of a new conversation; a person's own presets come later."""
    values = setting_values(BALANCED.to_dict())
    gr.HTML(f"<h2>{label('Settings')}</h2>", elem_id="fs-drawer-title", js_on_load=None, apply_default_css=False)
    preset = gr.Dropdown(
        [(name, id) for id, (name, _) in BUILTIN.items()],
        value=DEFAULT_ID,
        label=label("Preset"),
        interactive=True,
        filterable=False,
        elem_id="fs-preset",
    )
    # Gradio takes only what it has shown, which it forgets as the server ends; a page that was open before has more.
    # An unknown preset is the default one.
    preset.preprocess = _as_sent  # type: ignore[method-assign]
    buttons = preset_buttons()
    prompt = gr.Textbox(
        "",
        label=label("System prompt"),
        placeholder=label("What the model is told before your first message"),
        lines=3,
        max_lines=10,
        interactive=True,
        elem_id="fs-system",
    )
    sliders = [
        gr.Slider(
            each.low,
            each.high,
            value=value,
            step=each.step,
            label=label(each.label),
            info=label(each.info),
            interactive=True,
            buttons=[],
            elem_id=f"fs-set-{each.name}",
            elem_classes="fs-slider",
        )
        for each, value in zip(RANGES, values[: len(RANGES)], strict=True)
    ]
    for slider in sliders:
        # Gradio answers what was typed out of range with an error; `read_form` takes the nearest value.
        slider.preprocess = _number_as_sent  # type: ignore[method-assign]
    seed_value, stop_value = values[len(RANGES) :]
    seed = gr.Textbox(
        seed_value, label=label("Seed (-1 = random)"), max_lines=1, interactive=True, elem_id="fs-set-seed"
    )
    stop = gr.Textbox(
        stop_value,
        label=label("Stop strings"),
        info=label("One a line; the answer ends before any of them"),
        lines=2,
        max_lines=6,
        interactive=True,
        elem_id="fs-set-stop",
    )
    policy = gr.Dropdown(
        [(label(text), policy) for text, policy in POLICY_CHOICES],
        value=POLICY_CHOICES[0][1],
        label=label("When the chat outgrows the model's memory"),
        interactive=True,
        filterable=False,
        elem_id="fs-policy",
    )
    return Drawer(preset, buttons, prompt, policy, (*sliders, seed, stop))


def _as_sent(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number_as_sent(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) else None
