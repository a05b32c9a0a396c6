"""The threads that compute one forward pass together."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from engine.native.step import CALL, SYNC_WORDS, announce, forward, serve

# How often a thread looks for the next call before it sleeps: about as long as sampling takes between two tokens.
PATIENCE = 50_000


class Team:
    """`threads` threads, the caller's among them; the others sleep when nothing comes for a while.

    plan: what the compiled `forward` takes of a model: model, layers, matrices. tokens, chosen: where a call's are
    written before it. buffers: see engine.native.step.
    """

    def __init__(
        self, threads: int, plan: tuple[Any, Any, Any], tokens: np.ndarray, chosen: np.ndarray, buffers: np.ndarray
    ) -> None:
        self.threads = threads
        self._words = np.zeros(SYNC_WORDS + 8, np.int64)
        # On a cache line, so that each word has one to itself.
        self._words = self._words[-self._words.ctypes.data % 64 // 8 :][:SYNC_WORDS]
        self._sync = self._words.ctypes.data
        self._counts = np.zeros(2, np.int64)
        self._plan = plan
        self._tokens = tokens
        self._chosen = chosen
        self._buffers = buffers
        self._wake = [threading.Semaphore(0) for _ in range(1, threads)]
        self._parked = [False] * (threads - 1)
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"fireside-native-{number}", daemon=True)
            for number in range(1, threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, tokens: int, chosen: int) -> None:
        """Compute a call of that many tokens and wanted logits."""
        self._begin(tokens, chosen)
        forward(0, self.threads, self._sync, *self._plan, self._tokens[:tokens], self._chosen[:chosen], self._buffers)

    def close(self) -> None:
        """End the threads."""
        self._begin(-1, 0)
        for thread in self._threads:
            thread.join()

    def _begin(self, tokens: int, chosen: int) -> None:
        with self._lock:
            self._counts[:] = tokens, chosen
            announce(self._sync)
            for place, parked in enumerate(self._parked):
                if parked:
                    self._parked[place] = False
                    self._wake[place].release()

    def _work(self, number: int) -> None:
        seen = 0
        while True:
            arguments = (self._tokens, self._chosen, self._counts, self._buffers)
            seen = serve(number, self.threads, self._sync, seen, PATIENCE, *self._plan, *arguments)
            if self._counts[0] < 0:
                return
            with self._lock:
                # A call that began meanwhile did not wake a thread that was not yet asleep.
                if self._words[CALL] != seen:
                    continue
                self._parked[number - 1] = True
            self._wake[number - 1].acquire()
