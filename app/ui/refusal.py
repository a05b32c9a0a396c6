"""What a handler of the page refuses, told on the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar, cast

import gradio as gr

from app.errors import AppError
from app.ui.views import Sequencer, sentence
from engine import EngineError

F = TypeVar("F", bound=Callable[..., Any])


class Stamping(Protocol):
    """Handlers that number what they send."""

    sequence: Sequencer


def refusable(outputs: int, notice: int) -> Callable[[F], F]:
    """Turn an expected error into a refusal shown on the page: output number `notice` carries it, all else stays."""

    def decorate(handler: F) -> F:
        @wraps(handler)
        def guarded(self: Stamping, *args: Any) -> Any:
            try:
                return handler(self, *args)
            except (AppError, EngineError) as error:
                values: list[Any] = [gr.skip() for _ in range(outputs)]
                values[notice] = self.sequence.stamp(
                    "notice",
                    text=sentence(" ".join(str(error).split())),
                    kind="error",
                    # The control at which it is to be told.
                    setting=getattr(error, "setting", None) or "",
                )
                return values[0] if outputs == 1 else values

        return cast(F, guarded)

    return decorate


def text_of(event: Any, name: str) -> str:
    """A text the browser sent along with an event; "" where there is none."""
    value = getattr(event, name, "")
    return value if isinstance(value, str) else ""
