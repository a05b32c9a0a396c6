"""Tokens that the model reads without answering, for what it makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

from engine.errors import EngineError
from engine.job import Job
from engine.run import Progress
from engine.scores import Scores

T = TypeVar("T")


class TokenScore(NamedTuple):
    """How likely a token was after those before it.

    logprob: natural logarithm of its probability. rank: its place among all, from 1. entropy: of the distribution it
    is of, in nats. top: the likeliest (id, logprob) pairs.
    """

    token: int
    logprob: float
    rank: int
    entropy: float
    top: tuple[tuple[int, float], ...]


class Reading(Progress, Generic[T]):
    """A prompt being read: `result` waits for what came of it, `cancel` ends it.

    found: what is given out at the end, filled meanwhile. done: of the prompt's tokens, how many have been computed or
    were there.
    """

    def __init__(self, prompt: tuple[int, ...], found: T) -> None:
        super().__init__(prompt)
        self.found = found
        self.done = 0
        self._outcome: Future[T] = Future()

    def result(self, timeout: float | None = None) -> T:
        """What was found; raises the EngineError that ended the reading, TimeoutError after so many seconds."""
        return self._outcome.result(timeout)

    def finish(self) -> None:
        """Called by the engine thread only."""
        self.phase = "done"
        self._outcome.set_result(self.found)

    def fail(self, error: EngineError) -> None:
        """Called by the engine thread only; after the end it changes nothing."""
        self.phase = "done"
        if not self._outcome.done():
            self._outcome.set_exception(error)


class ReadingJob(Job):
    """A reading as the engine thread sees it.

    first: the position of the first token after which the logits are wanted. take: is given the position of each of
    these tokens and what comes after it. held: whether the slot is kept at the end, until the reading is cancelled.
    """

    scratch = True

    def __init__(self, run: Reading, first: int, take: Callable[[int, Scores], None], *, held: bool = False) -> None:
        super().__init__(run)
        self.run: Reading = run
        self._first = first
        self._take_scores = take
        self._held = held

    @property
    def reusable(self) -> int:
        return min(self._first, len(self.run.prompt) - 1)

    def wanted(self, count: int) -> int:
        end = len(self.run.prompt) - len(self.pending) + count
        return max(1, min(count, end - self._first))

    def hand_out(self, scores: Sequence[Scores], drafted: int) -> bool:
        """See `Job.hand_out`; a reading is never guessed."""
        done = len(self.run.prompt) - len(self.pending)
        for position, each in enumerate(scores, done - len(scores)):
            if position >= self._first:
                self._take_scores(position, each)
        self.run.done = done
        self.run.stats = replace(self.run.stats, prefill_seconds=time.perf_counter() - self._admitted_at)
        if self.pending:
            return True
        self.run.finish()
        return self._held

    def cancel(self) -> None:
        self.run.fail(EngineError("it was stopped before its end: ask again"))


def scored(first: int, prompt: Sequence[int], top: int, found: list[TokenScore]) -> Callable[[int, Scores], None]:
    """What fills `found` with the scores of a prompt's tokens from position `first` on, as a reading gives them."""

    def take(position: int, scores: Scores) -> None:
        if not first <= position + 1 < len(prompt):
            return
        token = prompt[position + 1]
        values, ids = scores.likeliest(top)
        pairs = tuple(zip(ids.tolist(), (values - scores.normaliser).tolist(), strict=True)) if top else ()
        logprob = scores.logit(token) - scores.normaliser
        found.append(TokenScore(token, logprob, scores.rank(token), scores.entropy, pairs))

    return take
