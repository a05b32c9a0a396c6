"""KV memory at fixed addresses, for computations that are recorded once and replayed."""

from __future__ import annotations

import weakref

import torch

from engine.config import ModelConfig
from engine.errors import OutOfMemory
from engine.kv_cache import KVCache


class StaticMemory:
    """Keys and values of `rows` sequences, each [layers, rows, kv_heads, context, head_dim].

    It is all zeros at first: what no token may see yet is read nevertheless, and must be a number. Raises OutOfMemory
    if it cannot be allocated.
    """

    def __init__(self, config: ModelConfig, rows: int, context: int, dtype: torch.dtype, device: torch.device) -> None:
        shape = (len(config.layers), rows, config.num_kv_heads, context, config.head_dim)
        try:
            self.keys = torch.zeros(shape, dtype=dtype, device=device)
            self.values = torch.zeros(shape, dtype=dtype, device=device)
        except RuntimeError as error:
            size = rows * context * config.kv_numbers_per_token * dtype.itemsize / 2**20
            raise OutOfMemory(
                f"the KV cache for {rows} conversations of {context:,} tokens needs {size:,.0f} MiB on {device}, which "
                "could not be had: choose a smaller context"
            ) from error
        self.rows = rows
        self._free = list(reversed(range(rows)))

    def new_cache(self, capacity: int) -> StaticCache | None:
        """A free row as a cache, which is free again when the cache is no longer in use; None if all are taken or
        none is long enough."""
        if capacity > self.keys.shape[3] or not self._free:
            return None
        row = self._free.pop()
        cache = StaticCache(self, row, capacity)
        weakref.finalize(cache, self._free.append, row).atexit = False
        return cache


class StaticCache(KVCache):
    """One row of a static memory."""

    def __init__(self, memory: StaticMemory, row: int, capacity: int) -> None:
        self.keys = memory.keys[:, row, :, :capacity]
        self.values = memory.values[:, row, :, :capacity]
        self.capacity = capacity
        self.length = 0
        self.memory = memory
        self.row = row
