"""The engine's one thread: admits runs, prefills them in chunks, decodes them step by step, in turn."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TypeVar

import torch

from engine.errors import EngineClosed, EngineError
from engine.kv_cache import Slot, SlotPool
from engine.model import Chunk, Model
from engine.reasoning import ThinkTags
from engine.run import FinishReason, Run, Step
from engine.sampler import Choice, Sampler
from engine.sampling import Sampling
from engine.text import NOTHING, AnswerStream, Shown
from engine.tokenizer import Tokenizer

# Bounds how long a prompt of another run, or a cancel, waits: about a quarter second for 135M parameters on two cores.
PREFILL_CHUNK = 128

T = TypeVar("T")


class Job:
    """What the engine thread keeps of one run. tags: what the answer of a reasoning model sets its thoughts apart
    with; thinking: its prompt has opened them. begins: the next token is the first of a message."""

    def __init__(
        self,
        run: Run,
        sampling: Sampling,
        sampler: Sampler,
        context: int,
        tags: ThinkTags | None = None,
        *,
        thinking: bool = False,
        begins: bool = False,
    ) -> None:
        self.run = run
        self.sampling = sampling
        self.sampler = sampler
        self.tags = tags
        self.begins = begins
        self.answer = AnswerStream(sampling.stop, tags, thinking=thinking)
        room = context - len(run.prompt)
        self.max_tokens = room if sampling.max_tokens is None else min(room, sampling.max_tokens)
        self.pending: list[int] = list(run.prompt)
        self.slot: Slot | None = None
        self.queued_at = time.perf_counter()
        self.admitted_at = self.queued_at
        self.first_token_at = self.queued_at


class Scheduler:
    """Owns all torch work of a model in one thread and shares it fairly among runs.

    Each turn gives every admitted run one prefill chunk or one decode step. Runs beyond the number of KV slots wait
    in the order they came.
    """

    def __init__(self, model: Model, tokenizer: Tokenizer, slots: int, threads: int | None) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._slots = SlotPool(slots, lambda: model.new_cache(model.context))
        self._threads = threads
        self._queue: deque[Job] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._active: list[Job] = []
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="fireside-engine", daemon=True)
        self._thread.start()

    def resume(self, job: Job, answer: Sequence[int]) -> None:
        """Take in the tokens that an answer has already, before the run is submitted; `Run.begun` tells their text."""
        shown = [job.answer.push(self._bytes(job, token)) for token in answer]
        job.run.begun = Shown("".join(each.reasoning for each in shown), "".join(each.text for each in shown))

    def submit(self, job: Job) -> None:
        """Queue a run; raises EngineClosed after `close`."""
        with self._wake:
            self._refuse_if_closed()
            self._queue.append(job)
            self._wake.notify()

    def call(self, function: Callable[[], T]) -> T:
        """Run a function in the engine thread, between steps, and wait for what it returns or raises."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        with self._wake:
            self._refuse_if_closed()
            self._calls.append(run)
            self._wake.notify()
        return future.result()

    def close(self) -> None:
        """End every run with EngineClosed and the thread with them; safe to call twice."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise EngineClosed("the model was unloaded: load it again")

    def _loop(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        while True:
            with self._wake:
                while not (self._closed or self._queue or self._active or self._calls):
                    self._wake.wait()
                if self._closed:
                    break
                calls, self._calls = self._calls, deque()
                self._admit()
            for call in calls:
                call()
            for job in tuple(self._active):
                self._turn(job)
        self._end_all()

    def _end_all(self) -> None:
        closed = EngineClosed("the model was unloaded while it answered: what was written so far is kept")
        for job in (*self._active, *self._queue):
            job.run.fail(closed)
        for call in self._calls:
            call()

    def _admit(self) -> None:
        """Give slots to queued runs, first come first served; cancelled ones leave the queue at once."""
        waiting: deque[Job] = deque()
        for job in self._queue:
            try:
                if job.run.cancelled:
                    self._finish(job, None, "cancelled")
                elif waiting or (slot := self._slots.acquire(job.run.prompt)) is None:
                    waiting.append(job)
                else:
                    self._start(job, slot)
            except Exception as error:
                job.run.fail(_as_engine_error(error))
        self._queue = waiting

    def _start(self, job: Job, slot: Slot) -> None:
        job.slot = slot
        job.pending = job.pending[len(slot.tokens) :]
        job.admitted_at = time.perf_counter()
        job.run.phase = "prefill"
        job.run.stats = replace(
            job.run.stats, cached_tokens=len(slot.tokens), queue_seconds=job.admitted_at - job.queued_at
        )
        self._active.append(job)

    def _turn(self, job: Job) -> None:
        """One prefill chunk or one decode step of one run."""
        try:
            if job.run.cancelled:
                self._finish(job, None, "cancelled")
                return
            chunk, job.pending = job.pending[:PREFILL_CHUNK], job.pending[PREFILL_CHUNK:]
            assert job.slot is not None
            tokens = torch.tensor(chunk, device=self._model.device)
            logits = self._model.forward([Chunk(tokens, job.slot.cache)])[0]
            job.slot.tokens += chunk
            if not job.pending:
                self._emit(job, job.sampler.choose(logits.cpu()))
        # One run's failure must not end the thread that serves the others.
        except Exception as error:
            self._fail(job, _as_engine_error(error))

    def _emit(self, job: Job, choice: Choice) -> None:
        self._record_times(job)
        if choice.token in self._tokenizer.eos_ids and not job.sampling.ignore_eos:
            self._finish(job, choice, "stop")
            return
        shown = job.answer.push(self._bytes(job, choice.token))
        if job.answer.stopped:
            self._finish(job, choice, "stop", shown)
        elif job.run.stats.new_tokens >= job.max_tokens:
            self._finish(job, choice, "length", shown)
        else:
            job.pending = [choice.token]
            job.run.emit(Step(choice.token, shown.text, choice.logprob, choice.top, reasoning=shown.reasoning))

    def _bytes(self, job: Job, token: int) -> bytes:
        # A tag that is a control token adds nothing to the text by itself.
        tags = job.tags.tokens(self._tokenizer.special_tokens) if job.tags else {}
        data = tags.get(token) or self._tokenizer.token_bytes(token)
        if job.begins and self._tokenizer.strips_leading_space:
            data = data.removeprefix(b" ")
        job.begins = False
        return data

    def _record_times(self, job: Job) -> None:
        now = time.perf_counter()
        stats = job.run.stats
        if stats.new_tokens == 0:
            job.first_token_at = now
            job.run.phase = "decode"
            stats = replace(stats, prefill_seconds=now - job.admitted_at, ttft_seconds=now - job.queued_at)
        job.run.stats = replace(stats, new_tokens=stats.new_tokens + 1, decode_seconds=now - job.first_token_at)

    def _finish(self, job: Job, choice: Choice | None, reason: FinishReason, shown: Shown = NOTHING) -> None:
        self._release(job)
        rest = job.answer.finish()
        reasoning, text = shown.reasoning + rest.reasoning, shown.text + rest.text
        if choice is None:
            job.run.emit(Step(None, text, 0.0, (), reason, reasoning))
        else:
            job.run.emit(Step(choice.token, text, choice.logprob, choice.top, reason, reasoning))

    def _fail(self, job: Job, error: EngineError) -> None:
        if job.slot is not None:
            # What a failed step left in the cache is unknown.
            job.slot.rewind(0)
        self._release(job)
        job.run.fail(error)

    def _release(self, job: Job) -> None:
        if job.slot is not None:
            self._slots.release(job.slot)
            self._active.remove(job)
            job.slot = None


def _as_engine_error(error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return error
    reason = (str(error).splitlines() or [""])[0]
    return EngineError(f"the engine failed ({type(error).__name__}: {reason:.200}): try again")
