"""What the rendering of one chat template may use, and how it is charged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2.exceptions import SecurityError

# A template in use renders a long chat in milliseconds and makes a few times the text it is given.
MAX_SECONDS = 0.75
MAX_CHARACTERS = 4_000_000
# A template may keep joining what it has so far, so what it makes grows with the messages' number and their length.
CHARACTERS_PER_CONTENT_CHARACTER = 100


class Budget:
    """What one rendering may use: processor seconds of its thread, and characters or items that it makes."""

    def __init__(self, characters: int = MAX_CHARACTERS, seconds: float = MAX_SECONDS) -> None:
        self._characters = characters
        self._deadline = time.thread_time() + seconds
        self._limits = f"{seconds:g} s or {characters:,} characters"

    def charge(self, characters: int) -> None:
        """Raises SecurityError when either is used up."""
        self._characters -= characters
        if self._characters < 0 or time.thread_time() > self._deadline:
            raise SecurityError(f"it needs more than {self._limits}")


_budget: ContextVar[Budget] = ContextVar("budget of the rendering under way")


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Compile or render within a budget; one environment serves many threads, each rendering has its own."""
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)


def charge(characters: int) -> None:
    """Charge the rendering under way."""
    _budget.get().charge(characters)


def charge_for(value: Any) -> None:
    """Charge for a value and all that is in it, as often as it is in it: the work to print or compare it."""
    budget = _budget.get()
    pending = [value]
    while pending:
        item = pending.pop()
        budget.charge(len(item) + 1 if isinstance(item, (str, list, tuple, dict)) else 1)
        if isinstance(item, (list, tuple)):
            pending.extend(item)
        elif isinstance(item, dict):
            pending.extend(item.keys())
            pending.extend(item.values())
