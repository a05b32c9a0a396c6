"""What the engine thread keeps of any run, from the queue to its end."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from engine.disk_kv import Restore
from engine.kv_cache import Slot
from engine.run import Progress
from engine.scores import Scores


class Job(ABC):
    """A run with its place in the KV cache and the tokens still to compute.

    donor: a run beside it that begins alike, from whose slot, `source`, it waits to copy the first `donated` tokens.
    """

    # Whether it is a passing look, for which no conversation's keys and values are given up.
    scratch = False

    def __init__(self, run: Progress) -> None:
        self.run = run
        self.pending: list[int] = list(run.prompt)
        self.slot: Slot | None = None
        self.restore: Restore | None = None
        self.donor: Job | None = None
        self.source: Slot | None = None
        self.donated = 0
        self._queued_at = self._admitted_at = time.perf_counter()

    @property
    def reusable(self) -> int:
        """How many of the first tokens need not be computed if their keys and values are there."""
        return len(self.run.prompt) - 1

    @property
    def waits(self) -> bool:
        """Whether more of the prompt comes from elsewhere than is computed."""
        return self.restore is not None or self.donor is not None

    def start(self, slot: Slot) -> None:
        """Leave the queue; what the slot holds of the prompt is not computed again."""
        self.slot = slot
        self.pending = self.pending[len(slot.tokens) :]
        self._admitted_at = time.perf_counter()
        self.run.phase, self.run.queue_position = "prefill", 0
        waited = self._admitted_at - self._queued_at
        self.run.stats = replace(self.run.stats, cached_tokens=len(slot.tokens), queue_seconds=waited)

    def take_restored(self) -> None:
        """Have the slot take in what has been read from disk, which is not computed again either."""
        assert self.restore is not None
        count = self.restore.take()
        self._take(count, restored_tokens=self.run.stats.restored_tokens + count)
        if self.restore.ended:
            self.restore = None

    def take_copied(self, count: int) -> None:
        """So many tokens have been copied into the slot."""
        self._take(count, forked_tokens=self.run.stats.forked_tokens + count)

    def draft(self, most: int) -> list[int]:
        """Guesses of the tokens after the pending one, at most `most`."""
        return []

    def wanted(self, count: int) -> int:
        """Of how many tokens, counted from the last, the logits are wanted when the next `count` are computed; one at
        least."""
        return 1

    @abstractmethod
    def hand_out(self, scores: Sequence[Scores], drafted: int) -> bool:
        """Take in the scores of the tokens last computed, of which the last `drafted` were guesses; False at the end.

        The tokens are in the slot; those that were no guesses are no longer pending.
        """

    @abstractmethod
    def cancel(self) -> None:
        """End the run where it is."""

    def _take(self, count: int, **figures: int) -> None:
        del self.pending[:count]
        stats = self.run.stats
        self.run.stats = replace(stats, cached_tokens=stats.cached_tokens + count, **figures)
