"""Leaves a server alone that failed several times, so that nobody waits for what will not come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from app.remote.errors import BreakerOpen

FAILURES = 3
OPEN_SECONDS = 15.0


class Breaker:
    """Open after FAILURES in a row for OPEN_SECONDS; then one request may try, and decides. Safe from any thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0
        self._why = ""

    @property
    def trouble(self) -> str:
        """What went wrong last while it is open; "" otherwise."""
        with self._lock:
            return self._why if self._failures >= FAILURES else ""

    @property
    def ripe(self) -> bool:
        """Whether it is open, and may be tried again."""
        with self._lock:
            return self._failures >= FAILURES and self._clock() >= self._until

    def enter(self) -> None:
        """Before a request; raises BreakerOpen while the server is left alone."""
        with self._lock:
            if self._failures < FAILURES:
                return
            if (left := self._until - self._clock()) > 0:
                raise BreakerOpen(f"{self._why}; it is tried again in {max(1, round(left))} s")
            # Whoever else comes while this one tries is turned away.
            self._until = self._clock() + OPEN_SECONDS

    def hurry(self) -> None:
        """Let the next request try at once: a person asks for it."""
        with self._lock:
            self._until = self._clock()

    def succeeded(self) -> None:
        with self._lock:
            self._failures, self._why = 0, ""

    def failed(self, why: str) -> None:
        with self._lock:
            self._failures, self._why = self._failures + 1, why
            self._until = self._clock() + OPEN_SECONDS
