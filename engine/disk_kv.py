"""What a model has computed of conversations, kept over a restart: from slots to files, and back at admission."""

from __future__ import annotations

import hashlib
import logging
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import takewhile

import torch
from torch import Tensor

from engine.info import EngineInfo
from engine.kv_cache import KVCache, Slot
from engine.kv_files import FORMAT, KVFiles, Layout
from engine.run import Stats

# Tokens of a file: what is shorter than that at the end of a conversation is computed again, in one chunk.
BLOCK = 128
# Shorter conversations are computed in a quarter of a second by the slowest path measured, torch on two cores.
LEAST_TOKENS = 2 * BLOCK
# How long closing waits for what is still to be written; the rest is computed again.
CLOSE_SECONDS = 1.0
# Weight of the newest measurement in the running figures of what reading and computing take.
NEWEST = 0.3
DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16"}

log = logging.getLogger(__name__)


class DiskKV:
    """Keys and values of one model's slots, in files of 128 tokens.

    A file is named by a digest of the model, of what computes it and of all tokens up to its end. So conversations
    that begin alike share files, one that grows adds files and writes none again, and whether a prompt's beginning is
    there is known from names alone.

    Writing and reading are done by two threads of its own; the engine's only copies what has been read. A prefix is
    read where that takes less time than computing it, by what both took so far.
    """

    def __init__(self, files: KVFiles, info: EngineInfo, example: KVCache, rotary_context: int) -> None:
        layers, heads, _, width = example.keys.shape
        dtype = example.keys.dtype
        self._files = files
        self._dtype = dtype
        self._shape = (layers, heads, BLOCK, width)
        self._layout = Layout(DTYPES[dtype], self._shape, layers * heads * BLOCK * width * dtype.itemsize)
        self._facts = (
            *(FORMAT, BLOCK, sys.byteorder, self._layout),
            *(info.digest, info.quantization, info.version, rotary_context),
        )
        self._writer = ThreadPoolExecutor(1, "fireside-kv-writer")
        self._reader = ThreadPoolExecutor(1, "fireside-kv-reader")
        self._deadline: float | None = None
        self._read_seconds: float | None = None
        self._compute_seconds: float | None = None
        self.use(info.kernels)

    def use(self, kernels: str) -> None:
        """From now on other kernels compute the model, to other last digits; their files are others."""
        self._key = hashlib.sha256(repr((*self._facts, kernels)).encode()).digest()

    def keep(self, slot: Slot, stats: Stats) -> None:
        """Have what a slot holds written beside all else; it may be used again at once. Called by the engine thread.

        stats: of the run that used it.
        """
        computed = stats.prompt_tokens - stats.cached_tokens
        if computed >= BLOCK and stats.prefill_seconds > 0 and not stats.restored_tokens:
            self._compute_seconds = _smoothed(self._compute_seconds, stats.prefill_seconds / computed)
        if len(slot.tokens) >= LEAST_TOKENS:
            self._writer.submit(self._save, slot, list(slot.tokens), self._key, self._files.generation)

    def restore(self, slot: Slot, prompt: Sequence[int], ready: Callable[[], None]) -> Restore | None:
        """Begin to read what files have of a prompt beyond what its slot holds; None if that does not pay.

        ready: called, by another thread, whenever the engine thread should `take`.
        """
        if not self._files:
            return None
        have = len(slot.tokens)
        names = _names(self._key, prompt)[have // BLOCK :]
        there = list(takewhile(self._files.__contains__, names))
        gain = min((have // BLOCK + len(there)) * BLOCK, len(prompt) - 1) - have
        if gain <= 0 or not self._pays(gain, len(there)):
            return None
        return Restore(self, slot, prompt, there, ready)

    def read(self, name: str, ready: Callable[[], None]) -> Future[tuple[Tensor, Tensor] | None]:
        """The keys and values of a file, [layers, kv_heads, 128, head_dim] each, or None if they cannot be had."""

        def run() -> tuple[Tensor, Tensor] | None:
            begin = time.perf_counter()
            if (found := self._files.read(name, self._layout)) is None:
                return None
            self._read_seconds = _smoothed(self._read_seconds, time.perf_counter() - begin)
            keys, values = (torch.frombuffer(part, dtype=self._dtype).view(self._shape) for part in found)
            return keys, values

        future = self._reader.submit(run)
        future.add_done_callback(lambda _: ready())
        return future

    def flush(self) -> None:
        """Return once all that was to be kept so far is written."""
        self._writer.submit(lambda: None).result()

    def close(self) -> None:
        """Write what is left, for a second at most, and end the threads; safe to call twice."""
        if self._deadline is None:
            self._deadline = time.monotonic() + CLOSE_SECONDS
        self._reader.shutdown(cancel_futures=True)
        self._writer.shutdown()

    def _pays(self, tokens: int, files: int) -> bool:
        if self._read_seconds is None or self._compute_seconds is None:
            return True
        if files * self._read_seconds < tokens * self._compute_seconds:
            return True
        # The disk may only have been busy: it is tried again some time.
        self._read_seconds *= 1 - NEWEST / 3
        return False

    def _save(self, slot: Slot, tokens: Sequence[int], key: bytes, generation: int) -> None:
        """Write the blocks of a slot that are not there yet. Runs while the slot may go to another conversation."""
        names = _names(key, tokens)[: self._files.limit // self._files.file_size(self._layout)]
        wrote = False
        try:
            self._files.touch(name for name in names if name in self._files)
            for index, name in enumerate(names):
                if self._deadline is not None and time.monotonic() > self._deadline:
                    return
                if name in self._files:
                    continue
                start, end = index * BLOCK, (index + 1) * BLOCK
                parts = [_bytes(each, start, end) for each in (slot.cache.keys, slot.cache.values)]
                # Tokens go from a slot before their keys are written over: if all are still there, so were these.
                if slot.tokens[:end] != tokens[:end] or not self._files.write(name, self._layout, parts, generation):
                    break
                wrote = True
            if wrote:
                self._files.touch(names)
        # Nobody waits for this to raise to, and nothing is lost but time.
        except Exception as error:
            log.warning("keys and values are not kept in %s: %s", self._files.folder, error)


class Restore:
    """Blocks on their way from files into the slot of a run; used by the engine thread only."""

    def __init__(
        self, disk: DiskKV, slot: Slot, prompt: Sequence[int], names: Sequence[str], ready: Callable[[], None]
    ) -> None:
        self._disk = disk
        self._slot = slot
        self._prompt = prompt
        self._names = list(names)
        self._start = len(slot.tokens) // BLOCK * BLOCK
        self._ready = ready
        self._reading: Future[tuple[Tensor, Tensor] | None] | None = None
        self._read_next()

    @property
    def ready(self) -> bool:
        """Whether `take` would not have to wait."""
        return self._reading is None or self._reading.done()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self._reading is None

    def take(self) -> int:
        """Copy what has been read into the slot and have more read; how many tokens the slot holds more."""
        block = self._reading.result() if self._reading else None
        if block is None:
            self._reading = None
            return 0
        cache, have = self._slot.cache, len(self._slot.tokens)
        start, end = self._start, min(self._start + BLOCK, len(self._prompt) - 1)
        cache.keys[:, :, have:end] = block[0][:, :, have - start : end - start]
        cache.values[:, :, have:end] = block[1][:, :, have - start : end - start]
        self._slot.tokens += self._prompt[have:end]
        cache.length = end
        self._start += BLOCK
        self._read_next()
        return end - have

    def _read_next(self) -> None:
        self._reading = self._disk.read(self._names.pop(0), self._ready) if self._names else None


def _names(key: bytes, tokens: Sequence[int]) -> list[str]:
    """The name of the file of each whole block of tokens."""
    names = []
    for start in range(0, len(tokens) // BLOCK * BLOCK, BLOCK):
        key = hashlib.sha256(key + array("i", tokens[start : start + BLOCK]).tobytes()).digest()
        names.append(key.hex())
    return names


def _bytes(numbers: Tensor, start: int, end: int) -> memoryview:
    """A copy of what is at some positions. Not made by torch, whose threads would spin beside the engine's after it."""
    return numbers.view(torch.uint8).numpy()[:, :, start:end].flatten().data


def _smoothed(before: float | None, now: float) -> float:
    return now if before is None else before + NEWEST * (now - before)
