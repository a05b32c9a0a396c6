"""How often passwords may be tried."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from app.accounts.errors import TooManyAttempts

WINDOW_SECONDS = 300.0
# Of one address, and for one name from wherever: a few typing errors, and no more than 2,900 guesses a day.
OF_ADDRESS = 10
OF_NAME = 10
MAX_KEPT = 10_000


class Attempts:
    """Counts attempts by address and by name, within five minutes; safe to use from any thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._times: dict[tuple[str, str], deque[float]] = {}

    def count(self, address: str, name: str) -> None:
        """An attempt begins; raises TooManyAttempts. It counts before its outcome is known, so that many at once do."""
        now = self._clock()
        with self._lock:
            self._forget(now)
            limited = (("address", address), OF_ADDRESS), (("name", name), OF_NAME)
            for key, limit in limited:
                times = self._times.get(key)
                if times and len(times) >= limit:
                    raise TooManyAttempts(times[0] + WINDOW_SECONDS - now)
            for key, _ in limited:
                self._times.setdefault(key, deque()).append(now)

    def succeeded(self, address: str, name: str) -> None:
        """The attempt was none at guessing."""
        with self._lock:
            for key in (("address", address), ("name", name)):
                if times := self._times.get(key):
                    times.pop()

    def _forget(self, now: float) -> None:
        for key, times in list(self._times.items()):
            while times and times[0] <= now - WINDOW_SECONDS:
                times.popleft()
            if not times:
                del self._times[key]
        while len(self._times) > MAX_KEPT:
            del self._times[next(iter(self._times))]
