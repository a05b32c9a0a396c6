"""Sortable ids: ULIDs (github.com/ulid/spec), 48 bits of milliseconds and 80 random bits in Crockford's base
32."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Twice as quick as letter by letter.
PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
VALUES = {letter: value for value, letter in enumerate(ALPHABET)}
LENGTH = 26
RANDOM_BITS = 80
LIMIT = 1 << 128


class IdSource:
    """Makes ids that sort in the order they were made.

    Within one millisecond, and while the clock is behind the newest id, an id is its predecessor plus one.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()

    def new(self) -> str:
        """A new id of 26 characters, greater than every id made or seen before."""
        with self._lock:
            fresh = max(0, int(self._clock() * 1000)) << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
            same_or_earlier = fresh >> RANDOM_BITS <= self._last >> RANDOM_BITS
            self._last = self._last + 1 if same_or_earlier else fresh
            return encode(self._last)

    def seen(self, id: str | None) -> None:
        """Go on from an id that exists already, such as the newest in the database; other text is ignored."""
        value = decode(id or "")
        if value is not None:
            with self._lock:
                self._last = max(self._last, value)


def encode(value: int) -> str:
    """26 characters for a number below 2**128."""
    return "".join([PAIRS[value >> shift & 1023] for shift in range(5 * (LENGTH - 2), -1, -10)])


def decode(id: str) -> int | None:
    """The number in an id, None if it is not one that `encode` makes."""
    if len(id) != LENGTH or any(letter not in VALUES for letter in id):
        return None
    value = 0
    for letter in id:
        value = value << 5 | VALUES[letter]
    return value if value < LIMIT else None
