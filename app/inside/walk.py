"""The next token of any text, and the one after: its distribution, shaped by settings as one likes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from app.backend import Backend
from app.inside.candidates import candidate_views
from app.inside.errors import opened
from app.inside.pieces import pieces
from engine import Sampling

if TYPE_CHECKING:
    from engine.distribution import Distribution

# Distributions that are kept: the settings of one are tried many times. One takes 200 kB with 49,152 tokens.
REMEMBERED = 32


class Seen(NamedTuple):
    """A distribution, and how many of the tokens before it did not have to be computed."""

    distribution: Distribution
    reused: int


class Remembered:
    """The distributions that were looked at last. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[Any, ...], Seen] = OrderedDict()

    def get(self, key: tuple[Any, ...]) -> Seen | None:
        with self._lock:
            if key in self._seen:
                self._seen.move_to_end(key)
            return self._seen.get(key)

    def put(self, key: tuple[Any, ...], seen: Seen) -> None:
        with self._lock:
            self._seen[key] = seen
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)


class Walk:
    """Distributions of next tokens of a loaded model."""

    def __init__(self, remembered: Remembered, backend: Backend) -> None:
        self._remembered = remembered
        self._backend = backend

    def look(self, tokens: Sequence[int]) -> Seen:
        """The distribution after these tokens; raises NotPossible for an engine elsewhere, EngineError."""
        engine = opened(self._backend)
        key = (engine.info.digest, engine.info.kernels, tuple(tokens))
        if (seen := self._remembered.get(key)) is None:
            reading = engine.next_reading(tokens)
            [distribution] = reading.result()
            seen = Seen(distribution, reading.stats.cached_tokens)
            self._remembered.put(key, seen)
        return seen

    def step(self, prompt: Sequence[int], tokens: Sequence[int], sampling: Sampling, count: int) -> dict[str, Any]:
        """What may follow: the answer of `POST /inside/next`. prompt: of a chat; tokens: what is written after it."""
        engine = opened(self._backend)
        whole = [*prompt, *tokens]
        seen = self.look(whole)
        shaped = seen.distribution.shaped(sampling, prompt=prompt, answer=tokens, count=count)
        found = [*pieces(engine, prompt), *pieces(engine, tokens, begins=bool(prompt))]
        return {
            "ids": whole,
            "texts": [piece.text for piece in found],
            "control": [place for place, piece in enumerate(found) if piece.control],
            "prompt": len(prompt),
            "reused": seen.reused,
            "context": engine.info.context,
            "entropy": seen.distribution.entropy,
            "candidates": candidate_views(engine, whole, shaped.candidates),
            "kept": shaped.kept,
        }
