"""The page's layout and the wiring of its events."""

from __future__ import annotations

from typing import Any

import gradio as gr
from fastapi import FastAPI

from app.library import ModelLibrary
from app.ui.components import (
    LIST_EVENTS,
    MESSAGE_EVENTS,
    MODEL_EVENTS,
    MODEL_SIGNALS,
    PRESET_EVENTS,
    sidebar,
    topbar,
    transcript,
)
from app.ui.drawer import Drawer, build_drawer
from app.ui.events import Events
from app.ui.handlers import Handlers
from app.ui.labels import I18N, label
from app.ui.theme import build_theme
from app.ui.views import Sequencer
from app.workspace import Workspace, Workspaces

# Without Gradio's queue: its event stream may be closed by the server while a new event joins it, whose result then
# does not arrive. All handlers return at once; what takes time is streamed by our own route.
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
LAST: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}
EACH: dict[str, Any] = {**QUIET, "trigger_mode": "multiple"}


# The first input of these events is the id of the open conversation, which the page itself fills in at that moment: a
# copy in a component would come with the answer to an earlier event, and may be late.
HERE: dict[str, Any] = {"js": "(_, ...inputs) => [window.fireside.openConversation(), ...inputs]"}


def build_page(workspaces: Workspaces, library: ModelLibrary) -> gr.Blocks:
    """The page as a Gradio app, not yet mounted.

    Everyone is sent the same page; what is theirs comes with its first event.
    """
    sequence = Sequencer()

    def make(workspace: Workspace) -> Handlers:
        return Handlers(workspace, library, sequence)

    handlers: Any = Events(workspaces, make)
    with gr.Blocks(title="Fireside", fill_width=True, fill_height=True, analytics_enabled=False) as page:
        with gr.Row(elem_id="fs-shell"):
            with gr.Column(elem_id="fs-side"):
                conversations = sidebar()
            with gr.Column(elem_id="fs-main"):
                model = topbar()
                messages = transcript()
                with gr.Column(elem_id="fs-dock"):
                    box = _message_box()
                    gr.HTML(
                        label("Runs on this computer. Answers can be wrong."),
                        elem_id="fs-hint",
                        js_on_load=None,
                        apply_default_css=False,
                    )
            with gr.Column(elem_id="fs-drawer"):
                drawer = build_drawer()
        # Holds the place of the open conversation's id among the inputs.
        open_id = gr.Textbox("", visible="hidden", elem_id="fs-open", label="Open conversation")
        _wire_chat(page, handlers, open_id, box, messages, drawer)
        _wire_list(handlers, conversations)
        _wire_drawer(handlers, open_id, messages, drawer)
        _wire_models(handlers, model)
    return page


def mount_page(app: FastAPI, page: gr.Blocks) -> FastAPI:
    """Mount the page at "/"; routes added to `app` later are not reached."""
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=build_theme(),
        i18n=I18N,
        footer_links=[],
        run_history=False,
        show_error=False,
        enable_monitoring=False,
        mcp_server=False,
        ssr_mode=False,
        pwa=False,
        max_file_size="1mb",
    )


def _message_box() -> gr.Textbox:
    # Both buttons are always there; the stylesheet shows the one that applies. What is sent goes through
    # assets/js/composer.js, which adds files, and knows what was taken.
    return gr.Textbox(
        label=label("Message"),
        show_label=False,
        container=False,
        placeholder=label("Message the model"),
        lines=1,
        max_lines=9,
        submit_btn=label("Send"),
        stop_btn=label("Stop"),
        interactive=True,
        elem_id="fs-composer",
    )


def _wire_chat(
    page: gr.Blocks,
    handlers: Any,
    open_id: gr.Textbox,
    box: gr.Textbox,
    messages: gr.HTML,
    drawer: Drawer,
) -> None:
    requested = "() => [new URLSearchParams(location.search).get('c') || '']"
    page.load(handlers.load, open_id, [messages, drawer.buttons, *drawer.form], js=requested, **QUIET)
    messages.open(handlers.open_event, None, [messages, drawer.buttons, *drawer.form], **EACH)
    messages.sync(handlers.sync, None, messages, **EACH)
    # Not HERE: where an event has a script, Gradio first copies the values of its outputs, here the whole transcript.
    messages.ask(handlers.ask, drawer.form, messages, **EACH)
    messages.retry(handlers.retry, [open_id, *drawer.form], messages, **HERE, **QUIET)
    for name in MESSAGE_EVENTS:
        getattr(messages, name)(getattr(handlers.message, name), None, messages, **QUIET)
    box.stop(handlers.stop, open_id, None, **HERE, **QUIET)


def _wire_list(handlers: Any, conversations: gr.HTML) -> None:
    for name in LIST_EVENTS:
        getattr(conversations, name)(getattr(handlers.list, name), None, conversations, **EACH)


def _wire_models(handlers: Any, model: gr.HTML) -> None:
    for name in MODEL_EVENTS:
        getattr(model, name)(getattr(handlers.model, name), None, model, **EACH)
    for name in MODEL_SIGNALS:
        getattr(model, name)(getattr(handlers.model, name), None, None, **EACH)


def _wire_drawer(handlers: Any, open_id: gr.Textbox, messages: gr.HTML, drawer: Drawer) -> None:
    inputs = [open_id, *drawer.form]
    # One event for all controls: two calls side by side could store the older values last.
    changes = [control.input for control in (drawer.system_prompt, drawer.policy, *drawer.settings)]
    # Text that was pasted or dropped makes no `input` in Gradio.
    changes += [control.blur for control in (drawer.system_prompt, *drawer.settings[-2:])]
    gr.on(changes, handlers.configure, inputs, [messages, drawer.buttons], **HERE, **LAST)
    settings = [drawer.buttons, *drawer.settings]
    drawer.preset.input(handlers.preset.choose, [open_id, drawer.preset], settings, **HERE, **QUIET)
    for name in PRESET_EVENTS:
        changed = [drawer.buttons, *drawer.form] if name == "undo" else drawer.shown
        getattr(drawer.buttons, name)(getattr(handlers.preset, name), inputs, [messages, *changed], **HERE, **QUIET)
