"""Keys and values of the tokens already computed, and the slots that keep them between runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.config import ModelConfig
from engine.errors import OutOfMemory

# Where it matters in which chunks a prompt was computed, they have so many tokens, and begin at multiples of it.
ALIGNMENT = 64


class KVCache:
    """Keys and values of one sequence, each [layers, kv_heads, capacity, head_dim], filled up to `length`.

    Setting `length` lower forgets the tokens after it. Raises OutOfMemory if it cannot be allocated.
    """

    def __init__(self, shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device) -> None:
        try:
            # Uninitialised, so that the system hands out pages only as tokens come.
            self.keys = torch.empty(shape, dtype=dtype, device=device)
            self.values = torch.empty(shape, dtype=dtype, device=device)
        except RuntimeError as error:
            layers, heads, capacity, width = shape
            size = 2 * layers * heads * capacity * width * dtype.itemsize / 2**20
            raise OutOfMemory(
                f"the KV cache for {capacity:,} tokens needs {size:,.0f} MiB, which could not be had: "
                "choose a smaller context"
            ) from error
        self.capacity = shape[2]
        self.length = 0

    @classmethod
    def of_model(cls, config: ModelConfig, capacity: int, dtype: torch.dtype, device: torch.device) -> KVCache:
        """An empty cache for `capacity` tokens of a model."""
        return cls((len(config.layers), config.num_kv_heads, capacity, config.head_dim), dtype, device)

    def append(self, layer: int, start: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write `key` and `value`, [T, kv_heads, head_dim], from position `start` on in one layer.

        Returns that layer's keys and values up to the end of what was written: [kv_heads, start + T, head_dim].
        """
        end = start + len(key)
        self.keys[layer, :, start:end] = key.transpose(0, 1)
        self.values[layer, :, start:end] = value.transpose(0, 1)
        return self.keys[layer, :, :end], self.values[layer, :, :end]

    def copy(self, other: KVCache, end: int) -> None:
        """Take over what another cache of the model holds from this one's end on up to position `end`."""
        start = self.length
        self.keys[:, :, start:end] = other.keys[:, :, start:end]
        self.values[:, :, start:end] = other.values[:, :, start:end]
        self.length = end


class Slot:
    """A cache with the token ids it holds, free or used by one run.

    aligned: how many of the first tokens were computed in whole chunks of ALIGNMENT tokens. scratch: whether what it
    holds is only of use until something else is wanted.
    """

    def __init__(self, cache: KVCache) -> None:
        self.cache = cache
        self.tokens: list[int] = []
        self.aligned = 0
        self.scratch = False
        self.free = True
        self.last_used = 0

    def shared(self, prompt: Sequence[int], most: int, *, aligned: bool = False) -> int:
        """How many leading tokens of `prompt` the slot already holds, `most` at most. aligned: of those only."""
        limit = min(self.aligned if aligned else len(self.tokens), most)
        shared = common_prefix(self.tokens, prompt, limit)
        return shared // ALIGNMENT * ALIGNMENT if aligned else shared

    def append(self, tokens: Sequence[int]) -> None:
        """These have been computed at once, after those before."""
        if len(self.tokens) == self.aligned and len(tokens) == ALIGNMENT:
            self.aligned += ALIGNMENT
        self.tokens += tokens

    def copy(self, other: Slot, end: int) -> None:
        """Take over what another slot, which holds the same tokens, holds of the tokens up to `end`."""
        self.cache.copy(other.cache, end)
        if len(self.tokens) == self.aligned:
            self.aligned = max(self.aligned, min(other.aligned, end // ALIGNMENT * ALIGNMENT))
        self.tokens += other.tokens[len(self.tokens) : end]

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        del self.tokens[length:]
        self.aligned = min(self.aligned, length // ALIGNMENT * ALIGNMENT)
        self.cache.length = length


class SlotPool:
    """A fixed number of slots, made when first needed; a free one serves the prompt it shares most with."""

    def __init__(self, count: int, new_cache: Callable[[], KVCache]) -> None:
        self._count = count
        self._new_cache = new_cache
        self._slots: list[Slot] = []
        self._clock = 0

    def acquire(self, prompt: Sequence[int], most: int, *, aligned: bool = False, scratch: bool = False) -> Slot | None:
        """A free slot, rewound to the longest prefix it shares with `prompt`; None if all are in use.

        most, aligned: see `Slot.shared`; what is wanted the logits of must be computed again. Without a shared prefix a
        new slot is made before an old one is emptied, the least recently used first.

        scratch: the slot is for a passing look, for which no conversation's is rewound: what is shared is copied.
        """

        def shared(slot: Slot) -> int:
            return slot.shared(prompt, most, aligned=aligned)

        free = [slot for slot in self._slots if slot.free]
        best = max(free, key=lambda slot: (shared(slot), -slot.last_used), default=None)
        nothing_shared = best is None or shared(best) == 0
        if nothing_shared and len(self._slots) < self._count:
            best = Slot(self._new_cache())
            self._slots.append(best)
        if best is None:
            return None
        count = shared(best)
        if scratch and not best.scratch and count < len(best.tokens):
            best = self._copy(best, count) or best
        best.rewind(count)
        best.scratch = scratch and (best.scratch or count == 0)
        best.free = False
        self._clock += 1
        best.last_used = self._clock
        return best

    def _copy(self, slot: Slot, count: int) -> Slot | None:
        """The first `count` tokens of a slot in another: one for passing looks, else a new one, else the least recently
        used; None if no other is free."""
        others = [other for other in self._slots if other.free and other is not slot]
        other = next((each for each in others if each.scratch), None)
        if other is None and len(self._slots) < self._count:
            other = Slot(self._new_cache())
            self._slots.append(other)
        if other is None:
            other = min(others, key=lambda each: each.last_used, default=None)
        if other is not None:
            other.rewind(0)
            other.copy(slot, count)
            other.scratch = True
        return other

    def release(self, slot: Slot) -> None:
        """Give a slot back; what it holds stays for the next prompt that begins alike."""
        slot.free = True


def common_prefix(first: Sequence[int], second: Sequence[int], most: int) -> int:
    """How many tokens two sequences have in common at their beginning, `most` at most."""
    limit = min(len(first), len(second), most)
    return next((place for place in range(limit) if first[place] != second[place]), limit)
