"""One answer in the making: what the caller of the engine holds, and what the engine thread feeds."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from engine.errors import EngineError
from engine.text import NOTHING
from engine.tools.reader import CallDelta

FinishReason = Literal["stop", "length", "cancelled"]
Phase = Literal["queued", "prefill", "decode", "done"]


@dataclass(frozen=True, slots=True)
class Step:
    """One generated token.

    token: its id, None on the last step of a cancelled run. text: what can be shown of the answer because of it, ""
    while half a character, a possible stop string or a possible tag is held back. reasoning: likewise of what a
    reasoning model thinks, all of which comes before the answer; "" for other models. logprob: natural logarithm of
    its probability before temperature and truncation. top: the likeliest (id, logprob) pairs, as many as
    `Sampling.logprobs` asked. finish_reason: set on the last step only. entropy, rank: where `logprobs` were asked for,
    the entropy of that distribution, in nats, and the token's place in it, from 1; else None. calls: more of the calls
    of functions that the answer makes, which come after its text.
    """

    token: int | None
    text: str
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    finish_reason: FinishReason | None = None
    reasoning: str = ""
    entropy: float | None = None
    rank: int | None = None
    calls: tuple[CallDelta, ...] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """Figures of a run so far; tokens are counts, times are seconds.

    restored_tokens: how many of the `cached_tokens` were read from disk; forked_tokens: how many were computed for a
    run beside this one and copied. accepted_tokens: how many of the
    `drafted_tokens` that were guessed beforehand the run has chosen.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    restored_tokens: int = 0
    forked_tokens: int = 0
    new_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    queue_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    ttft_seconds: float = 0.0
    seed: int = 0

    @property
    def tokens_per_second(self) -> float:
        """Speed of decoding; the first token belongs to the prefill."""
        return (self.new_tokens - 1) / self.decode_seconds if self.new_tokens > 1 and self.decode_seconds else 0.0


class Progress:
    """How far a run of the engine is; `cancel` may be called from any thread.

    queue_position: its place among the runs that wait, from 1; 0 once it is its turn.
    """

    def __init__(self, prompt: tuple[int, ...], seed: int = 0) -> None:
        self.prompt = prompt
        self.phase: Phase = "queued"
        self.stats = Stats(prompt_tokens=len(prompt), seed=seed)
        self.queue_position = 0
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End the run: at most one more token, also while it is queued or prefilling."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def fail(self, error: EngineError) -> None:
        """Called by the engine thread only: ends the run with an error."""
        raise NotImplementedError


class Run(Progress):
    """An answer under way: iterate for its steps, from one thread; `cancel` from any.

    Iterating raises the EngineError that ended the run, after the steps that came before it. Leaving the loop
    early does not stop the run: call `cancel`.

    begun: of an answer that is continued, what can be shown of the tokens it had; the steps go on from there.
    """

    def __init__(self, prompt: tuple[int, ...], seed: int) -> None:
        super().__init__(prompt, seed)
        self.begun = NOTHING
        self._steps: queue.SimpleQueue[Step | EngineError] = queue.SimpleQueue()
        self._ended = False

    def __iter__(self) -> Iterator[Step]:
        while not self._ended:
            item = self._steps.get()
            if isinstance(item, EngineError):
                self._ended = True
                raise item
            self._ended = item.finish_reason is not None
            yield item

    def emit(self, step: Step) -> None:
        """Called by the engine thread only."""
        if step.finish_reason is not None:
            self.phase = "done"
        self._steps.put(step)

    def fail(self, error: EngineError) -> None:
        """Called by the engine thread only: ends the run with an error."""
        self.phase = "done"
        self._steps.put(error)
