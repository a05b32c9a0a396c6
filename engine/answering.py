"""A run that answers, as the engine thread sees it: chooses token after token until the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from engine.draft import PromptLookup
from engine.job import Job
from engine.reasoning import ThinkTags
from engine.run import FinishReason, Run, Step
from engine.sampler import Choice, Sampler
from engine.sampling import Sampling
from engine.scores import Scores
from engine.text import AnswerStream, Shown
from engine.tokenizer import Tokenizer
from engine.tools import CallSyntax


class Answering(Job):
    """A run with its sampler and the text it has come to.

    context: tokens its slot has room for. tags: what the answer of a reasoning model sets its thoughts apart with;
    thinking: its prompt has opened them. begins: the next text is the first of a message, or of a part of one.
    syntax: of the calls that the answer may make.
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
        syntax: CallSyntax | None = None,
    ) -> None:
        super().__init__(run)
        self.run: Run = run
        self._sampling = sampling
        self._sampler = sampler
        self._tokenizer = tokenizer
        self._answer = AnswerStream(sampling.stop, tags, thinking=thinking, syntax=syntax)
        self._tag_bytes = tags.tokens(tokenizer.special_tokens) if tags else {}
        self._call_bytes = syntax.tokens(tokenizer.special_tokens) if syntax else {}
        self._begins = begins
        self._lookup = PromptLookup(run.prompt)
        room = context - len(run.prompt)
        self._max_tokens = room if sampling.max_tokens is None else min(room, sampling.max_tokens)
        self._first_token_at = self._queued_at

    def resume(self, answer: Sequence[int]) -> None:
        """Take in the tokens that an answer has already, before the run is submitted; `Run.begun` tells their text."""
        self._sampler.resume(answer)
        shown = [self._answer.push(self._bytes(token)) for token in answer]
        self.run.begun = Shown("".join(each.reasoning for each in shown), "".join(each.text for each in shown))

    def draft(self, most: int) -> list[int]:
        """Guesses of the tokens after the pending one, at most `most`, and not beyond the end of the run."""
        return self._lookup.draft(min(most, self._max_tokens - self.run.stats.new_tokens - 1))

    def hand_out(self, scores: Sequence[Scores], drafted: int) -> bool:
        """Choose the next token and, as long as what is chosen was guessed, the one after."""
        slot = self.slot
        assert slot is not None
        if self.pending:
            return True
        certain = len(slot.tokens) - drafted
        right = 0
        going = self._advance(scores[0])
        while going and not self.run.cancelled and self.pending == slot.tokens[certain + right : certain + right + 1]:
            right += 1
            going = self._advance(scores[right])
        if drafted:
            slot.rewind(certain + right)
            self._judge_draft(drafted, right)
        return going

    def cancel(self) -> None:
        """End the run where it is, with what was held back of its text."""
        rest = self._answer.finish()
        self.run.emit(Step(None, rest.text, 0.0, (), "cancelled", rest.reasoning, calls=rest.calls))

    def _judge_draft(self, drafted: int, right: int) -> None:
        """Keep account of a draft of which `right` tokens were chosen."""
        self._lookup.judge(drafted, right)
        stats = self.run.stats
        drafted, right = stats.drafted_tokens + drafted, stats.accepted_tokens + right
        self.run.stats = replace(stats, drafted_tokens=drafted, accepted_tokens=right)

    def _advance(self, scores: Scores) -> bool:
        """Choose the next token and hand it out; False if the run has ended with it."""
        choice = self._sampler.choose(scores)
        self._record_times()
        ended = choice.token in self._tokenizer.eos_ids and not self._sampling.ignore_eos
        if ended or choice.token in self._sampling.stop_token_ids:
            self._emit(choice, self._answer.finish(), "stop")
            return False
        shown = self._answer.push(self._bytes(choice.token))
        if self._answer.stopped:
            self._emit(choice, _joined(shown, self._answer.finish()), "stop")
            return False
        if self.run.stats.new_tokens >= self._max_tokens:
            self._emit(choice, _joined(shown, self._answer.finish()), "length")
            return False
        self.pending = [choice.token]
        self._lookup.extend(self.pending)
        self._emit(choice, shown, None)
        return True

    def _emit(self, choice: Choice, shown: Shown, reason: FinishReason | None) -> None:
        self.run.emit(
            Step(
                choice.token,
                shown.text,
                choice.logprob,
                choice.top,
                reason,
                shown.reasoning,
                choice.entropy,
                choice.rank,
                shown.calls,
            )
        )

    def _bytes(self, token: int) -> bytes:
        """What a token adds to the answer. A tag that is a control token stands for itself, and begins a part."""
        if tag := self._tag_bytes.get(token):
            self._begins = True
            return tag
        if mark := self._call_bytes.get(token):
            return mark
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


def _joined(first: Shown, second: Shown) -> Shown:
    return Shown(first.reasoning + second.reasoning, first.text + second.text, first.calls + second.calls)
