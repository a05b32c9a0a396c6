"""A model whose forward pass is the compiled one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.config import ModelConfig
from engine.kv_cache import KVCache
from engine.model import Chunk, finish_logits
from engine.native.blocks import BLOCK, padded
from engine.native.plan import Plan
from engine.native.step import BUFFERS, TOKEN
from engine.native.summary import scores_of
from engine.native.team import Team
from engine.scores import Scores

# Tokens that are computed at once; longer chunks are divided.
MOST_ROWS = 256


class NativeModel:
    """Computes what `engine.model.Model` does, to about 2e-5 of the largest logit, from packed weights.

    Its caches are the same, so that either can go on where the other stopped. threads: how many compute together.
    """

    batch_invariant = True
    torch_threads: int | None = 1

    def __init__(self, config: ModelConfig, plan: Plan, context: int, threads: int) -> None:
        self.config = config
        self.context = context
        self.device = torch.device("cpu")
        self.dtype = torch.float32
        self._plan = plan
        self._tokens = np.zeros(MOST_ROWS, TOKEN)
        self._chosen = np.zeros(MOST_ROWS, np.int64)
        self._logits = np.zeros((MOST_ROWS, padded(config.vocab_size)), np.float32)
        self._memory: list[np.ndarray] = [self._logits]
        tables = (plan.model, plan.layers, plan.matrices)
        self._team = Team(threads, tables, self._tokens, self._chosen, self._buffers(threads))
        self._warm_up()

    def new_cache(self, capacity: int) -> KVCache:
        """An empty cache for `capacity` tokens."""
        return KVCache.of_model(self.config, capacity, self.dtype, self.device)

    def forward(self, chunks: Sequence[Chunk]) -> Tensor:
        """Run the chunks of several sequences and append their keys and values to their caches; see `Model.forward`.

        The next call may overwrite what this one returns.
        """
        parts: list[list[Chunk]] = [[]]
        rows = 0
        wanted: list[list[int]] = [[]]
        for chunk in chunks:
            pieces = chunk.tokens.split(MOST_ROWS)
            left = len(chunk.tokens)
            for piece in pieces:
                if rows + len(piece) > MOST_ROWS:
                    parts.append([])
                    wanted.append([])
                    rows = 0
                parts[-1].append(Chunk(piece, chunk.cache))
                rows += len(piece)
                left -= len(piece)
                wanted[-1] += range(rows - min(len(piece), max(0, chunk.wanted - left)), rows)
        if len(parts) == 1:
            return finish_logits(self.config, self._call(parts[0], wanted[0]))
        logits = [self._call(part, chosen).clone() for part, chosen in zip(parts, wanted, strict=True)]
        return finish_logits(self.config, torch.cat(logits))

    def scores(self, logits: Tensor, vocabulary: int) -> Sequence[Scores]:
        """See `engine.scores.scores_of`."""
        return scores_of(logits, vocabulary)

    def close(self) -> None:
        """End its threads."""
        self._team.close()

    def _call(self, chunks: Sequence[Chunk], chosen: Sequence[int]) -> Tensor:
        row = 0
        for tokens, cache, _ in chunks:
            count = len(tokens)
            rows = self._tokens[row : row + count]
            rows["id"] = tokens.numpy()
            rows["keys"], rows["values"], rows["capacity"] = (
                cache.keys.data_ptr(),
                cache.values.data_ptr(),
                cache.capacity,
            )
            rows["position"] = range(cache.length, cache.length + count)
            cache.length += count
            row += count
        self._chosen[: len(chosen)] = chosen
        self._team.run(row, len(chosen))
        return torch.from_numpy(self._logits[: len(chosen), : self.config.vocab_size])

    def _warm_up(self) -> None:
        """Have the code compiled, or loaded, before the first answer waits for it."""
        self.forward([Chunk(torch.zeros(1, dtype=torch.int64), self.new_cache(1))])

    def _buffers(self, threads: int) -> np.ndarray:
        config, widest = self.config, padded(self._plan.widest)
        shapes = {
            "hidden": (MOST_ROWS, config.hidden_size),
            "projected": (MOST_ROWS, widest),
            "partial": (threads, MOST_ROWS, config.num_heads, config.head_dim + 2),
            "scores": (threads, config.num_heads // config.num_kv_heads, self.context),
            "normed": (threads, widest),
            "numbers": (threads, MOST_ROWS, widest // 2),  # int16, two in the room of a float32
            "scales": (threads, MOST_ROWS, widest // BLOCK),
            "sums": (threads, MOST_ROWS, widest // BLOCK),
        }
        buffers = np.zeros(1, BUFFERS)
        for name, shape in shapes.items():
            memory = np.zeros(shape, np.float32)
            self._memory.append(memory)
            buffers[name] = memory.ctypes.data
        buffers["logits"], buffers["logits_stride"] = self._logits.ctypes.data, self._logits.shape[1]
        buffers["most_rows"], buffers["widest"], buffers["longest"] = MOST_ROWS, widest, self.context
        return buffers
