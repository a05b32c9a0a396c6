"""A live run: an answer while it is being written, for as many readers as look at it."""

from __future__ import annotations

import threading
from time import monotonic
from typing import Any

from app.backend import BackendRun
from app.store import Message
from app.store.records import Status
from app.store.text import storable
from app.store.tokens import TokenLog, unpack_ids
from engine.info import EngineInfo
from engine.run import FinishReason, Stats, Step

# In `extra` of an answer: milliseconds that its model thought before it.
THOUGHT_MS = "thought_ms"


class LiveRun:
    """An answer under way: one thread feeds it, any number of threads read it, any thread cancels it.

    message_id, conversation_id: where the answer is kept. error: one line once it failed, or while it cannot
    be saved. finished_at: `time.monotonic()` of its end. continued: the message as it was, if the run goes on with it;
    what the store holds of it then stays until the run has more.
    """

    def __init__(self, conversation_id: str, message_id: str, continued: Message | None = None) -> None:
        self.conversation_id = conversation_id
        self.message_id = message_id
        self.error: str | None = None
        self.finished_at: float | None = None
        self.cancelled: Status | None = None
        self._changed = threading.Condition()
        self._run: BackendRun | None = None
        self._info: EngineInfo | None = None
        self._continued = continued
        self._text = continued.content if continued else ""
        self._reasoning = (continued.reasoning or "") if continued else ""
        self._thought_since: float | None = None
        self._thought_ms = float(continued.extra.get(THOUGHT_MS) or 0) if continued else 0.0
        self._tokens = _tokens(continued)
        self._begun_tokens = len(self._tokens)
        # Steps, each of a token, or of several where an engine elsewhere does not tell them.
        self._pieces = self._saved_pieces = 0
        self._begun_characters = len(self._text) + len(self._reasoning)
        self._finish_reason: FinishReason | None = None

    @property
    def done(self) -> bool:
        """Whether the answer has ended and is in the store as it will stay."""
        return self.finished_at is not None

    @property
    def phase(self) -> str:
        """`waiting` for the model, then `queued`, `prefill` and `decode` as the engine tells, at last
        `done`."""
        if self.done:
            return "done"
        phase = self._run.phase if self._run else "waiting"
        # The engine is done a moment before the answer is saved.
        return "decode" if phase == "done" else phase

    @property
    def stats(self) -> dict[str, Any]:
        """Figures so far, named as the columns of `messages`, and `tokens_per_second`; all 0 while
        waiting."""
        stats = self._run.stats if self._run else Stats()
        return _columns(stats) | {"tokens_per_second": stats.tokens_per_second}

    @property
    def finish_reason(self) -> FinishReason | None:
        """What the engine gave for the end; None before it, or if there was an error."""
        return self._finish_reason

    @property
    def thought_ms(self) -> float:
        """Milliseconds from the first of the model's thoughts to the last; 0 where there are none."""
        return self._thought_ms

    def shown_from(self, position: int) -> tuple[str, str, int]:
        """The thoughts and the text from a position on, and the position after them.

        Positions count characters (code points) of the thoughts and then of the text, which begins after them.
        """
        with self._changed:
            thought = len(self._reasoning)
            reasoning, text = self._reasoning[max(0, position) :], self._text[max(0, position - thought) :]
            return reasoning, text, thought + len(self._text)

    def wait(self, position: int, timeout: float) -> bool:
        """Wait at most `timeout` seconds for anything beyond a position or for the end; whether there is
        either."""
        with self._changed:
            return self._changed.wait_for(lambda: self.done or self._characters > position, timeout)

    def cancel(self, status: Status = "stopped") -> None:
        """End the run soon and give the answer this status; the first call decides."""
        with self._changed:
            self.cancelled = self.cancelled or status
            run = self._run
        if run:
            run.cancel()

    @property
    def token_ids(self) -> list[int]:
        """The tokens so far."""
        with self._changed:
            return unpack_ids(self._tokens.ids())

    @property
    def grown(self) -> bool:
        """Whether there is a token or a character that was not there at the beginning."""
        with self._changed:
            return len(self._tokens) > self._begun_tokens or self._characters > self._begun_characters

    def attach(self, run: BackendRun, info: EngineInfo, *, from_text: bool = False) -> None:
        """Follow this run of this engine; by the feeding thread only, as are the methods below.

        from_text: the run continues the text, not the tokens: those there are belong to another model or none.
        """
        with self._changed:
            if from_text:
                self._continued, self._tokens = None, TokenLog()
                self._begun_tokens = 0
            elif self._continued:
                # The text may have ended in half a character, which the next token completes.
                self._reasoning, self._text = run.begun.reasoning, run.begun.text
            self._run, self._info = run, info
            cancelled = self.cancelled
        if cancelled:
            run.cancel()

    def detach(self) -> None:
        """Follow no run: the answer waits for a model again."""
        with self._changed:
            self._run = None

    def push(self, step: Step) -> int:
        """Take in a step; how many are not saved yet."""
        with self._changed:
            if step.token is not None:
                self._tokens.append(step.token, step.logprob, step.top, step.entropy, step.rank)
            self._pieces += 1
            self._text += storable(step.text)
            self._reasoning += storable(step.reasoning)
            if step.reasoning:
                self._time_thought()
            self._finish_reason = step.finish_reason
            self._changed.notify_all()
            return self._pieces - self._saved_pieces

    def finish(self, error: str | None = None) -> None:
        """The answer has ended and is saved."""
        with self._changed:
            self.error = error
            self.finished_at = monotonic()
            self._changed.notify_all()

    def unsaved(self) -> tuple[int, dict[str, Any]] | None:
        """How many steps there were and all that is known as columns of `messages`; None if that is saved."""
        with self._changed:
            return (self._pieces, self.columns()) if self._pieces > self._saved_pieces else None

    def saved(self, pieces: int) -> None:
        """So many steps are in the store."""
        with self._changed:
            self._saved_pieces = max(pieces, self._saved_pieces)

    def columns(self) -> dict[str, Any]:
        """All that is known, as columns of `messages`."""
        with self._changed:
            columns: dict[str, Any] = {
                "content": self._text,
                "reasoning": self._reasoning or None,
                "token_ids": self._tokens.ids(),
                "token_logprobs": self._tokens.logprobs(),
                "finish_reason": self._finish_reason,
            }
            if self._continued and self._run is None:
                columns["finish_reason"] = self._continued.finish_reason
            if self._info:
                columns |= {"model": self._info.name, "model_digest": self._info.digest}
                columns["engine"] = {
                    name: getattr(self._info, name)
                    for name in (
                        "version",
                        "architecture",
                        "quantization",
                        "context",
                        "device",
                        "dtype",
                        "kernels",
                        "threads",
                        "deterministic",
                    )
                }
            if self._run:
                columns |= self._figures(self._run.stats)
            return columns

    @property
    def _characters(self) -> int:
        return len(self._reasoning) + len(self._text)

    def _time_thought(self) -> None:
        now = monotonic()
        if self._thought_since is None:
            # An answer that is continued has thought before.
            self._thought_since = now - self._thought_ms / 1000
        self._thought_ms = (now - self._thought_since) * 1000

    def _figures(self, stats: Stats) -> dict[str, Any]:
        """Of the whole answer: where it was continued, those of all its runs together."""
        columns, before = _columns(stats), self._continued
        if before:
            for name in ("new_tokens", "queue_ms", "prefill_ms", "decode_ms"):
                columns[name] += getattr(before, name) or 0
            # A branch that has just begun has none of its own.
            first = {"prompt_tokens": before.prompt_tokens, "ttft_ms": before.ttft_ms}
            columns |= {name: value for name, value in first.items() if value is not None}
        return columns


def _tokens(message: Message | None) -> TokenLog:
    if message is None or not message.token_ids:
        return TokenLog()
    try:
        return TokenLog.resumed(message.token_ids, message.token_logprobs or b"")
    except ValueError:
        return TokenLog()


def _columns(stats: Stats) -> dict[str, Any]:
    return {
        "seed": stats.seed,
        "prompt_tokens": stats.prompt_tokens,
        "cached_tokens": stats.cached_tokens,
        "new_tokens": stats.new_tokens,
        "queue_ms": stats.queue_seconds * 1000,
        "prefill_ms": stats.prefill_seconds * 1000,
        "decode_ms": stats.decode_seconds * 1000,
        "ttft_ms": stats.ttft_seconds * 1000,
    }
