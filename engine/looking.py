"""A look inside the model at one token: what its heads look at, and what each layer would have said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from engine.attention import attend, attention_weights
from engine.checkpoint import Checkpoint
from engine.checkpoint.weights import WeightLoader
from engine.errors import InvalidPrompt, OutOfMemory, UnsupportedModel
from engine.kv_cache import KVCache
from engine.linear import Dense
from engine.memory import available
from engine.model import ForwardPass, LayerWeights, Model
from engine.static_model import StaticModel
from engine.units import gigabytes

# Numbers of attention that are handed out: 64 MB. Thirty layers of nine heads have them over 62,000 tokens.
MOST_NUMBERS = 2**24


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the model did at one token, counted from the first.

    attention: float32 [layers, heads, position + 1], how much the token looks at each up to itself; rows have the sum
    1. layers: float32 [layers + 1, vocabulary], the logits of what the stream holds before the first layer and after
    each, through the model's last norm and its head; the last row is what the model says. None where not asked for.
    """

    position: int
    attention: Tensor | None
    layers: Tensor | None


class Weights(Sequence[LayerWeights]):
    """The layers of a model, each brought from its file in float32 when it is wanted, and given up after it."""

    def __init__(self, loader: WeightLoader, count: int) -> None:
        self._loader = loader
        self._count = count
        self._ready: tuple[int, LayerWeights] | None = None

    def prepare(self, index: int) -> None:
        """Bring the layer before it is asked for, by whichever thread has the time."""
        if index < self._count:
            self._ready = index, self._loader.layer(index)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> LayerWeights: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[LayerWeights]: ...

    def __getitem__(self, index: int | slice) -> LayerWeights | Sequence[LayerWeights]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        ready, self._ready = self._ready, None
        return ready[1] if ready and ready[0] == index else self._loader.layer(index)


def plain_model(model: ForwardPass, checkpoint: Checkpoint | None) -> Model:
    """The model in torch's operations: the one that computes, or where machine code does, one whose weights are
    dequantised again layer by layer. Raises OutOfMemory, UnsupportedModel."""
    if isinstance(model, Model):
        return model
    if isinstance(model, StaticModel):
        return model.plain
    if checkpoint is None:
        raise UnsupportedModel("this model", "its file is not known any more, so its layers cannot be read: load it")
    config = checkpoint.config
    heads = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
    layer = config.hidden_size * (heads + config.num_heads * config.head_dim + 3 * config.intermediate_size)
    need = 4 * (2 * config.vocab_size * config.hidden_size + 2 * layer)
    if need > (free := available("cpu")):
        raise OutOfMemory(
            f"looking inside {checkpoint.name} needs {gigabytes(need)} for its embedding and two of its layers, but "
            f"{gigabytes(free)} are free: close other programs"
        )
    loader = WeightLoader(checkpoint.source, checkpoint.layout, config, torch.float32, torch.device("cpu"), Dense)
    return Model(config, loader.model(Weights(loader, len(config.layers))), model.context)


def refuse_too_many(model: ForwardPass, position: int) -> None:
    """Raise InvalidPrompt if the attention of a token has more numbers than are handed out."""
    layers, heads = len(model.config.layers), model.config.num_heads
    if (count := layers * heads * (position + 1)) > MOST_NUMBERS:
        most = MOST_NUMBERS // (layers * heads)
        raise InvalidPrompt(
            f"the attention of {layers} layers and {heads} heads over {position + 1:,} tokens has {count:,} numbers, "
            f"and at most {MOST_NUMBERS:,} are shown: look at one of the first {most:,} tokens"
        )


def inspect(
    model: Model,
    cache: KVCache,
    token: int,
    position: int,
    call: Callable[[Callable[[], Tensor]], Tensor],
    *,
    attention: bool,
    layers: bool,
) -> Inspection:
    """Compute one token, layer by layer. cache: holds the tokens before it; what is written at its position is to be
    forgotten. call: runs a function where the cache may be used."""
    config = model.config
    seen: list[Tensor] = []

    def look(index: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        keys, values = cache.append(index, position, key, value)
        window, scale = config.layers[index].window, config.attention_scale
        softcap = config.attention_softcap
        if attention:
            seen.append(attention_weights(query, keys, window=window, scale=scale, softcap=softcap).cpu())
        first = 0 if window is None else max(0, position - window + 1)
        return attend(query, keys[:, first:], values[:, first:], None, scale=scale, softcap=softcap)

    ids, positions = (torch.tensor([each], device=model.device) for each in (token, position))
    streams = model.streams(ids, positions, look)

    def step() -> Tensor:
        with torch.inference_mode():
            return next(streams)

    stored = model.weights.layers
    hidden = [call(step)]
    for index in range(len(config.layers)):
        if isinstance(stored, Weights):
            stored.prepare(index)
        hidden.append(call(step))

    def read() -> Tensor:
        with torch.inference_mode():
            return model.logits(torch.cat(hidden)).cpu()

    return Inspection(
        position,
        torch.stack(seen) if attention else None,
        call(read) if layers else None,
    )
