"""The engine's one thread: admits runs, prefills them in chunks, decodes them all together, step by step."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from engine.disk_kv import DiskKV
from engine.draft import LONGEST_DRAFT
from engine.errors import EngineBusy, EngineClosed, EngineError, OutOfMemory
from engine.forking import follow, take_copied
from engine.job import Job
from engine.kv_cache import ALIGNMENT, Slot, SlotPool
from engine.model import Chunk, ForwardPass

# Tokens of prompts a step computes: this bounds how long a cancel waits, and beside others that are answering, how
# long their next token does. About a quarter second for 135M parameters by torch on two cores, and half of that.
PREFILL_CHUNK = 128
CHUNK_BESIDE_DECODE = 64
# Runs that may wait for a slot.
MAX_QUEUE = 128
# How long a cancel may go unnoticed while a slow disk is all there is to wait for.
AWAIT_SECONDS = 0.1

T = TypeVar("T")


class Work(NamedTuple):
    """The tokens of one run that the next step computes; the last `drafted` of them are guesses, and the logits of
    the last `wanted` are."""

    job: Job
    tokens: list[int]
    wanted: int = 1
    drafted: int = 0


class Scheduler:
    """Owns all torch work of a model in one thread and shares it fairly among runs.

    Each step computes the next token of every run that is answering and, beside them, one chunk of the prompts: those
    of several runs take turns. Runs beyond the number of KV slots wait in the order they came.

    A run that answers alone has the tokens it may go on with guessed, and computed in the same step. It goes over
    them only as far as they are what it chooses, so guesses never change an answer: they are made where a token's
    logits do not depend on how many are computed with it.

    A prompt that begins like that of a run under way is not computed twice: the later run copies the keys and values
    of the earlier one as soon as these are there.

    disk: keeps keys and values over a restart; closed with the scheduler. vocabulary: how many ids the tokenizer
    has. deterministic: where computing several tokens at once changes the last
    digits, compute each run by itself and its prompt in chunks that depend on nothing else, and use again only what was
    computed so. threads: of the CPU, for torch. speculate: whether to guess at all.
    """

    def __init__(
        self,
        model: ForwardPass,
        vocabulary: int,
        slots: int,
        threads: int | None,
        *,
        deterministic: bool = False,
        speculate: bool = True,
        disk: DiskKV | None = None,
    ) -> None:
        self._model = model
        self._disk = disk
        self._vocabulary = vocabulary
        self._slots = SlotPool(slots, lambda: self._model.new_cache(model.context))
        self._threads = threads
        self._deterministic = deterministic
        self._speculate = speculate
        self._queue: deque[Job] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._active: list[Job] = []
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="fireside-engine", daemon=True)
        self._thread.start()

    @property
    def model(self) -> ForwardPass:
        return self._model

    @property
    def runs(self) -> int:
        """How many runs are computed or wait."""
        with self._wake:
            return len(self._queue) + len(self._active)

    def replace_model(self, model: ForwardPass, kernels: str) -> None:
        """From the next step on compute with another model of the same weights; caches and runs go on."""

        def swap() -> None:
            self._model.close()
            self._model = model
            self._set_threads()
            if self._disk:
                self._disk.use(kernels)

        self.call(swap)

    def submit(self, job: Job) -> None:
        """Queue a run; raises EngineClosed after `close`, EngineBusy if too many wait already."""
        with self._wake:
            self._refuse_if_closed()
            if len(self._queue) >= MAX_QUEUE:
                raise EngineBusy(len(self._active), len(self._queue))
            self._queue.append(job)
            job.run.queue_position = len(self._queue)
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
        if self._disk:
            self._disk.close()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise EngineClosed("the model was unloaded: load it again")

    def _loop(self) -> None:
        self._set_threads()
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
            self._take_restored()
            self._take_copied()
            if batch := self._next_batch():
                self._step(batch)
            elif self._active:
                self._await_restored()
        self._end_all()
        self._model.close()

    @property
    def _aligned(self) -> bool:
        """Whether what is computed beside a token, or before it, must not change its last digits but would."""
        return self._deterministic and not self._model.batch_invariant

    def _set_threads(self) -> None:
        """For torch in this thread. Its threads spin after their work, which would hold up a model that has its own."""
        if (threads := self._model.torch_threads or self._threads) is not None:
            torch.set_num_threads(threads)

    def _end_all(self) -> None:
        closed = EngineClosed("the model was unloaded while it answered: what was written so far is kept")
        for job in (*self._active, *self._queue):
            if self._disk and job.slot:
                self._disk.keep(job.slot, job.run.stats)
            job.run.fail(closed)
        for call in self._calls:
            call()

    def _admit(self) -> None:
        """Give slots to queued runs, first come first served; cancelled ones leave the queue at once."""
        waiting: deque[Job] = deque()
        for job in self._queue:
            try:
                if job.run.cancelled:
                    job.cancel()
                elif waiting or (slot := self._slot_for(job)) is None:
                    waiting.append(job)
                    job.run.queue_position = len(waiting)
                else:
                    job.start(slot)
                    follow(job, self._active, aligned=self._aligned)
                    self._active.append(job)
                    if self._disk and job.donor is None:
                        job.restore = self._disk.restore(slot, job.run.prompt[: job.reusable + 1], self._notify)
            except Exception as error:
                job.run.fail(_as_engine_error(error))
        self._queue = waiting

    def _slot_for(self, job: Job) -> Slot | None:
        return self._slots.acquire(job.run.prompt, job.reusable, aligned=self._aligned, scratch=job.scratch)

    def _take_restored(self) -> None:
        for job in tuple(self._active):
            try:
                if job.restore and job.restore.ready and not job.run.cancelled:
                    job.take_restored()
            except Exception as error:
                self._fail(job, _as_engine_error(error))

    def _take_copied(self) -> None:
        for job in tuple(self._active):
            try:
                take_copied(job, self._active, aligned=self._aligned)
            except Exception as error:
                self._fail(job, _as_engine_error(error))

    def _await_restored(self) -> None:
        """While there is nothing to compute: until more has been read from disk, or it is time to look for a cancel."""
        with self._wake:
            if not (self._closed or self._calls or any(job.restore and job.restore.ready for job in self._active)):
                self._wake.wait(AWAIT_SECONDS)

    def _notify(self) -> None:
        with self._wake:
            self._wake.notify()

    def _next_batch(self) -> list[Work]:
        """What the next step computes; runs that were cancelled end here."""
        for job in tuple(self._active):
            if job.run.cancelled:
                self._release(job)
                job.cancel()
        decoding = [job for job in self._active if len(job.pending) == 1]
        prefilling = [job for job in self._active if len(job.pending) > 1 and not job.waits]
        budget = CHUNK_BESIDE_DECODE if decoding else PREFILL_CHUNK
        batch = [Work(job, job.pending) for job in decoding]
        if self._speculate and len(decoding) == 1 and self._model.batch_invariant:
            draft = decoding[0].draft(LONGEST_DRAFT)
            batch = [Work(decoding[0], decoding[0].pending + draft, 1 + len(draft), len(draft))]
        for job in prefilling:
            if budget <= 0:
                break
            assert job.slot is not None
            tokens = job.pending[: ALIGNMENT - len(job.slot.tokens) % ALIGNMENT if self._aligned else budget]
            batch.append(Work(job, tokens, job.wanted(len(tokens))))
            budget -= len(tokens)
            # The others' turn comes before its next.
            self._active.remove(job)
            self._active.append(job)
        return batch

    def _step(self, batch: Sequence[Work]) -> None:
        """Compute a batch and hand out the tokens it ends in."""
        try:
            scores = iter(self._model.scores(self._compute(batch), self._vocabulary))
        # One run's failure must not end the thread that serves the others.
        except Exception as error:
            self._recover(batch, error)
            return
        for work in batch:
            rows = list(islice(scores, work.wanted))
            try:
                job, slot = work.job, work.job.slot
                assert slot is not None
                slot.append(work.tokens)
                del job.pending[: len(work.tokens) - work.drafted]
                if not job.hand_out(rows, work.drafted):
                    self._release(job)
            except Exception as error:
                self._fail(work.job, _as_engine_error(error))

    def _compute(self, batch: Sequence[Work]) -> Tensor:
        """Logits after the last token of each and after its guesses: float32 [tokens wanted, vocab]."""
        chunks = []
        for job, tokens, wanted, _ in batch:
            assert job.slot is not None
            chunks.append(Chunk(torch.tensor(tokens, device=self._model.device), job.slot.cache, wanted))
        if self._aligned:
            return torch.cat([self._model.forward([chunk]) for chunk in chunks])
        return self._model.forward(chunks)

    def _recover(self, batch: Sequence[Work], error: Exception) -> None:
        """After a step that failed: compute each run by itself, so that only the one that cannot be computed ends."""
        if len(batch) == 1:
            self._fail(batch[0].job, _as_engine_error(error))
            return
        for work in batch:
            assert work.job.slot is not None
            work.job.slot.rewind(len(work.job.slot.tokens))
        for work in batch:
            self._step([work])

    def _fail(self, job: Job, error: EngineError) -> None:
        if job.slot is not None:
            # What a failed step left in the cache is unknown.
            job.slot.rewind(0)
        self._release(job)
        job.run.fail(error)

    def _release(self, job: Job) -> None:
        if job.slot is not None:
            self._slots.release(job.slot)
            if self._disk:
                self._disk.keep(job.slot, job.run.stats)
            self._active.remove(job)
            job.slot = None


def _as_engine_error(error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return error
    reason = (str(error).splitlines() or [""])[0]
    # Torch says it with a RuntimeError on the CPU.
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in reason:
        return OutOfMemory(
            f"memory ran out while this was answered ({reason:.200}): what was written so far is kept; "
            "close other programs, then try again"
        )
    return EngineError(f"the engine failed ({type(error).__name__}: {reason:.200}): try again")
