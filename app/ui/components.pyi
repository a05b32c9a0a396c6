"""Our own components: an empty element each, which our JavaScript fills.

Nothing of a user's or a model's text ever goes into a template: Gradio's templates would run it.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

class Island(gr.HTML):
    """A place on the page that belongs to `assets/js/<name>.js`; `events` are the names it may trigger."""

    def __init__(
        self,
        name: str,
        *,
        events: tuple[str, ...] = (),
        value: dict[str, Any] | None = None,
        render: bool = True,
    ) -> None:
        # Gradio finds a custom event by its quoted name in this text.
        quoted = ", ".join(f"'{event}'" for event in events)
        super().__init__(
            value,
            html_template=f'<div class="fs-{name}"></div>',
            js_on_load=f"window.fireside.attach('{name}', {{element, trigger, watch, props}}, [{quoted}]);",
            apply_default_css=False,
            elem_id=f"fs-{name}",
            container=False,
            render=render,  # Gradio builds a copy that is not drawn whenever a handler skips an output
        )
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

def transcript() -> Island:
    """The conversation: show, append; everything a message's toolbar asks for."""
    return Island("transcript", events=("open", "ask", "retry", "version", "finished"))

def sidebar() -> Island:
    """Brand, search and the list of conversations."""
    return Island("sidebar", events=("rename", "pin", "remove", "restore", "search"))

def topbar() -> Island:
    """The model's name and state, the meter, theme and drawer switches."""
    return Island("topbar", events=("retry_model",))

def preset_buttons() -> Island:
    """Save as and Delete below the preset dropdown."""
    return Island("presets", events=("save_preset", "delete_preset"))
