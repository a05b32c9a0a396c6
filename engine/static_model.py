"""A model whose decode steps have fixed shapes and addresses, as a GPU wants them to be recorded."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.attention import attend_rows
from engine.errors import ContextOverflow
from engine.kv_cache import KVCache
from engine.model import Chunk, Model
from engine.recording import Compute, Record
from engine.scores import Scores, scores_of
from engine.static_cache import StaticCache, StaticMemory

# Sequences in a decode step; a step of another number is filled up to the next.
BATCHES = (1, 2, 4, 8)
# Tokens a step looks at: this or a multiple by a power of two, so that a short text does not pay for a long context.
SHORTEST_LOOK = 256

log = logging.getLogger(__name__)


class StaticModel:
    """Computes what `Model` does, with the same operations where a step is not just the next tokens of some runs.

    Where it is, the step is recorded once for each number of sequences and each length, and replayed. rows: how many
    sequences it has memory for; the caches of further ones are ordinary, and computed by the model. record: how steps
    are recorded; if that fails they are computed operation by operation, which is logged once.
    """

    batch_invariant = False
    torch_threads: int | None = None

    def __init__(self, model: Model, rows: int, record: Record | None) -> None:
        self.config = model.config
        self.context = model.context
        self.device = model.device
        self.dtype = model.dtype
        self._model = model
        self._memory = StaticMemory(model.config, rows, model.context, model.dtype, model.device)
        if record and model.config.experts is not None:
            self._tell("which experts compute a token is known only on the way")
            record = None
        self._record = record
        self._steps: dict[tuple[int, int, int | None], Compute] = {}
        most = BATCHES[-1]
        self._tokens = torch.zeros(most, dtype=torch.int64, device=self.device)
        # Of each sequence of a step its row in the memory and its token's position.
        self._places = torch.zeros(2, most, dtype=torch.int64, device=self.device)
        self._logits = torch.zeros(most, model.config.vocab_size, device=self.device)
        self._warm_up()

    @property
    def plain(self) -> Model:
        """The model it computes, operation by operation."""
        return self._model

    @property
    def rows(self) -> int:
        return self._memory.rows

    @property
    def recorded(self) -> bool:
        """Whether steps are recorded."""
        return self._record is not None

    def new_cache(self, capacity: int) -> KVCache:
        """An empty cache for `capacity` tokens."""
        return self._memory.new_cache(capacity) or self._model.new_cache(capacity)

    def scores(self, logits: Tensor, vocabulary: int) -> Sequence[Scores]:
        """See `engine.scores.scores_of`."""
        return scores_of(logits, vocabulary)

    def close(self) -> None:
        """Give back the recorded steps; what they work in goes with them."""
        self._steps.clear()

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk]) -> Tensor:
        """Run the chunks of several sequences and append their keys and values to their caches; see `Model.forward`."""
        next_tokens = [index for index, chunk in enumerate(chunks) if self._is_next_token(chunk)]
        others = [index for index in range(len(chunks)) if index not in next_tokens]
        logits: dict[int, Tensor] = {}
        for start in range(0, len(next_tokens), BATCHES[-1]):
            group = next_tokens[start : start + BATCHES[-1]]
            logits.update(zip(group, self._decode([chunks[index] for index in group]).split(1), strict=True))
        if others:
            computed = self._model.forward([chunks[index] for index in others])
            logits.update(zip(others, computed.split([chunks[index].wanted for index in others]), strict=True))
        return torch.cat([logits[index] for index in range(len(chunks))])

    def _is_next_token(self, chunk: Chunk) -> bool:
        ours = isinstance(chunk.cache, StaticCache) and chunk.cache.memory is self._memory
        return ours and len(chunk.tokens) == 1 and chunk.wanted == 1

    def _decode(self, chunks: Sequence[Chunk]) -> Tensor:
        """The next token of each of several sequences: [sequences, vocab]."""
        caches = [chunk.cache for chunk in chunks if isinstance(chunk.cache, StaticCache)]
        for cache in caches:
            # A GPU would not survive an index beyond its memory.
            if cache.length >= cache.capacity:
                raise ContextOverflow(need=cache.length + 1, have=cache.capacity)
        batch = next(size for size in BATCHES if size >= len(chunks))
        # What fills the step up is its last sequence again, whose keys and values are written twice.
        filled = [*range(len(chunks)), *[len(chunks) - 1] * (batch - len(chunks))]
        self._tokens[:batch].copy_(torch.cat([chunks[index].tokens for index in filled]))
        places = torch.tensor([[caches[i].row for i in filled], [caches[i].length for i in filled]])
        self._places[:, :batch].copy_(places)
        length = self._looked_at(max(cache.length for cache in caches) + 1)
        # One sequence alone is read where it lies; the rows of several are gathered.
        step = self._step(batch, length, caches[0].row if batch == 1 else None)
        logits = step()[: len(chunks)].clone()
        for cache in caches:
            cache.length += 1
        return logits

    def _looked_at(self, tokens: int) -> int:
        length = SHORTEST_LOOK
        while length < tokens:
            length *= 2
        return min(length, self.context)

    def _step(self, batch: int, length: int, row: int | None) -> Compute:
        key = batch, length, row
        if key not in self._steps:
            self._steps[key] = self._recorded(lambda: self._compute(batch, length, row))
        return self._steps[key]

    def _recorded(self, compute: Compute) -> Compute:
        if self._record is None:
            return compute
        try:
            return self._record(compute)
        except RuntimeError as error:
            self._tell((str(error).splitlines() or [type(error).__name__])[0])
            self._record = None
            return compute

    def _tell(self, reason: str) -> None:
        log.warning("steps are not recorded but computed operation by operation, which is slower: %s", reason)

    def _compute(self, batch: int, length: int, row: int | None) -> Tensor:
        """One step from the static inputs to the static logits, [batch, vocab]; nothing here may wait for the GPU."""
        config, memory = self.config, self._memory
        rows, positions = self._places[0, :batch], self._places[1, :batch]
        places = torch.arange(length, device=self.device)
        distance = (positions.unsqueeze(1) - places)[:, None, None, :]
        masks: dict[int | None, Tensor] = {None: distance >= 0}
        for window in {layer.window for layer in config.layers if layer.window is not None}:
            masks[window] = (distance >= 0) & (distance < window)

        def read(numbers: Tensor) -> Tensor:
            seen = numbers[:, :, :length]
            return seen.index_select(0, rows) if row is None else seen[row : row + 1]

        def look(index: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            keys, values = memory.keys[index], memory.values[index]
            keys[rows, :, positions] = key
            values[rows, :, positions] = value
            mask = masks[config.layers[index].window]
            options = {"scale": config.attention_scale, "softcap": config.attention_softcap}
            return attend_rows(query, read(keys), read(values), mask, **options)

        hidden = self._model.stream(self._tokens[:batch], positions, look)
        return self._logits[:batch].copy_(self._model.logits(hidden))

    def _warm_up(self) -> None:
        """Record the most frequent step, and so learn whether steps can be recorded, before the first answer."""
        if self._record is None:
            return
        cache = self.new_cache(1)
        self.forward([Chunk(torch.zeros(1, dtype=torch.int64, device=self.device), cache)])
