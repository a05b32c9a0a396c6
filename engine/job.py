"""What the engine thread keeps of one run, from the queue to its last token."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from engine.disk_kv import Restore
from engine.draft import PromptLookup
from engine.kv_cache import Slot
from engine.reasoning import ThinkTags
from engine.run import FinishReason, Run, Step
from engine.sampler import Choice, Sampler
from engine.sampling import Sampling
from engine.scores import Scores
from engine.text import NOTHING, AnswerStream, Shown
from engine.tokenizer import Tokenizer


class Job:
    """A run with its sampler, its place in the KV cache and the tokens still to compute.

    context: tokens its slot has room for. tags: what the answer of a reasoning model sets its thoughts apart with;
    thinking: its prompt has opened them. begins: the next text is the first of a message, or of a part of one.
    """

    def __init__(
        self,
        run: Run,
        sampling: Sampling,
        sampler: Sampler,
        tokenizer: Tokenizer,
        context: int,
        tags: ThinkTags | None = None,
        *,
        thinking: bool = False,
        begins: bool = False,
    ) -> None:
        self.run = run
        self.pending: list[int] = list(run.prompt)
        self.slot: Slot | None = None
        self.restore: Restore | None = None
        self._sampling = sampling
        self._sampler = sampler
        self._tokenizer = tokenizer
        self._answer = AnswerStream(sampling.stop, tags, thinking=thinking)
        self._tag_bytes = tags.tokens(tokenizer.special_tokens) if tags else {}
        self._begins = begins
        self._lookup = PromptLookup(run.prompt)
        room = context - len(run.prompt)
        self._max_tokens = room if sampling.max_tokens is None else min(room, sampling.max_tokens)
        self._queued_at = self._admitted_at = self._first_token_at = time.perf_counter()

    def resume(self, answer: Sequence[int]) -> None:
        """Take in the tokens that an answer has already, before the run is submitted; `Run.begun` tells their text."""
        self._sampler.resume(answer)
        shown = [self._answer.push(self._bytes(token)) for token in answer]
        self.run.begun = Shown("".join(each.reasoning for each in shown), "".join(each.text for each in shown))

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
        del self.pending[:count]
        stats = self.run.stats
        cached, restored = stats.cached_tokens + count, stats.restored_tokens + count
        self.run.stats = replace(stats, cached_tokens=cached, restored_tokens=restored)
        if self.restore.ended:
            self.restore = None

    def draft(self, most: int) -> list[int]:
        """Guesses of the tokens after the pending one, at most `most`, and not beyond the end of the run."""
        return self._lookup.draft(min(most, self._max_tokens - self.run.stats.new_tokens - 1))

    def judge_draft(self, drafted: int, right: int) -> None:
        """Keep account of a draft of which `right` tokens were chosen."""
        self._lookup.judge(drafted, right)
        stats = self.run.stats
        drafted, right = stats.drafted_tokens + drafted, stats.accepted_tokens + right
        self.run.stats = replace(stats, drafted_tokens=drafted, accepted_tokens=right)

    def advance(self, scores: Scores) -> bool:
        """Choose the next token and hand it out; False if the run has ended with it."""
        choice = self._sampler.choose(scores)
        self._record_times()
        if choice.token in self._tokenizer.eos_ids and not self._sampling.ignore_eos:
            self._end(choice, "stop")
            return False
        shown = self._answer.push(self._bytes(choice.token))
        if self._answer.stopped:
            self._end(choice, "stop", shown)
            return False
        if self.run.stats.new_tokens >= self._max_tokens:
            self._end(choice, "length", shown)
            return False
        self.pending = [choice.token]
        self._lookup.extend(self.pending)
        self.run.emit(Step(choice.token, shown.text, choice.logprob, choice.top, reasoning=shown.reasoning))
        return True

    def cancel(self) -> None:
        """End the run where it is, with what was held back of its text."""
        rest = self._answer.finish()
        self.run.emit(Step(None, rest.text, 0.0, (), "cancelled", rest.reasoning))

    def _end(self, choice: Choice, reason: FinishReason, shown: Shown = NOTHING) -> None:
        rest = self._answer.finish()
        text, reasoning = shown.text + rest.text, shown.reasoning + rest.reasoning
        self.run.emit(Step(choice.token, text, choice.logprob, choice.top, reason, reasoning))

    def _bytes(self, token: int) -> bytes:
        """What a token adds to the answer. A tag that is a control token stands for itself, and begins a part."""
        if tag := self._tag_bytes.get(token):
            self._begins = True
            return tag
        data = self._tokenizer.token_bytes(token)
        # Other control tokens add nothing, and what follows them at the beginning still begins it.
        if data and self._begins:
            self._begins = False
            if self._tokenizer.strips_leading_space:
                data = data.removeprefix(b" ")
        return data

    def _record_times(self) -> None:
        now, stats = time.perf_counter(), self.run.stats
        if stats.new_tokens == 0:
            self._first_token_at = now
            self.run.phase = "decode"
            stats = replace(stats, prefill_seconds=now - self._admitted_at, ttft_seconds=now - self._queued_at)
        self.run.stats = replace(stats, new_tokens=stats.new_tokens + 1, decode_seconds=now - self._first_token_at)
