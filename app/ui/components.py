"""Our own components: an empty element each, which our JavaScript fills.

Nothing of a user's or a model's text ever goes into a template: Gradio's templates would run it.
"""

from __future__ import annotations

import gradio as gr

# What a message's toolbar and the list's menu ask for, by the names of the methods that do it.
MESSAGE_EVENTS = ("version", "edit", "go_on", "delete", "undo", "branch", "context")
LIST_EVENTS = (
    *("rename", "pin", "archive", "tag", "duplicate", "remove", "restore"),
    *("trash", "restore_messages", "erase", "choices"),
)
PRESET_EVENTS = (
    *("save", "rename", "duplicate", "take_in", "delete"),
    *("reset", "undo", "model_ready"),
)


MODEL_EVENTS = ("use_model", "download_model", "cancel_download", "remove_model")
MODEL_SIGNALS = ("retry_model", "hurry_switch", "keep_model")


def transcript() -> gr.HTML:
    """The conversation: show, append; everything a message's toolbar asks for."""
    return _island("transcript", "open", "sync", "ask", "retry", *MESSAGE_EVENTS)


def sidebar() -> gr.HTML:
    """Brand, search and the list of conversations."""
    return _island("sidebar", *LIST_EVENTS)


def topbar() -> gr.HTML:
    """The model's name and state with the panel of all models, the meter, theme and drawer switches."""
    return _island("topbar", *MODEL_EVENTS, *MODEL_SIGNALS)


def preset_buttons() -> gr.HTML:
    """What can be done with presets and settings, below the preset dropdown."""
    return _island("presets", *PRESET_EVENTS)


def _island(name: str, *events: str) -> gr.HTML:
    """A place on the page that belongs to `assets/js/<name>.js`; `events` are the names it may trigger.

    No subclass: Gradio writes a stub file next to the module of each.
    """
    # Gradio finds a custom event by its quoted name in this text.
    quoted = ", ".join(f"'{event}'" for event in events)
    return gr.HTML(
        None,
        html_template=f'<div class="fs-{name}"></div>',
        js_on_load=f"window.fireside.attach('{name}', {{element, trigger, watch, props}}, [{quoted}]);",
        apply_default_css=False,
        elem_id=f"fs-{name}",
        container=False,
    )
