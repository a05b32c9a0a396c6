"""From Gradio's events to the handlers of the person who caused them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast, get_type_hints

import gradio as gr

from app.workspace import Workspace, Workspaces


class Events:
    """Stands for the handlers where events are wired: `events.list.rename` is what Gradio is given.

    When the event happens, handlers are made with the workspace of the person who caused it, and the method of that
    name is called: no handler ever sees the things of anybody else. make: makes handlers, whose attributes are methods
    and further handlers.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        make: Callable[[Workspace], Any],
        described: Any = None,
        path: tuple[str, ...] = (),
    ) -> None:
        self._workspaces = workspaces
        self._make = make
        # Handlers of nobody and with nothing: they are looked at only.
        nobody = SimpleNamespace(person=None, store=None, chats=None)
        self._described = described or make(cast(Workspace, nobody))
        self._path = path

    def __getattr__(self, name: str) -> Any:
        described, path = getattr(self._described, name), (*self._path, name)
        if not inspect.ismethod(described):
            return Events(self._workspaces, self._make, described, path)
        workspaces, make = self._workspaces, self._make

        def method(request: gr.Request) -> Callable[..., Any]:
            found: Any = make(workspaces.of(request))
            for part in path:
                found = getattr(found, part)
            return found

        # Gradio looks at the parameters to know what to pass.
        def with_event(request: gr.Request, event: gr.EventData, *inputs: Any) -> Any:
            return method(request)(event, *inputs)

        def without_event(request: gr.Request, *inputs: Any) -> Any:
            return method(request)(*inputs)

        chosen = with_event if gr.EventData in get_type_hints(described).values() else without_event
        chosen.__name__ = "_".join(path)
        return chosen
