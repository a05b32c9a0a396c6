"""The forward pass: token ids in, logits out, keys and values left in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.attention import attend, causal_mask
from engine.config import ModelConfig
from engine.kv_cache import KVCache
from engine.linear import Linear
from engine.mlp import MLP
from engine.norm import Norm
from engine.scores import Scores, scores_of


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One decoder layer; a norm that the family does not have is None.

    The projections of query, key and value are stacked in this order, so that they are one product.
    """

    attention_norm: Norm | None
    qkv: Linear  # hidden to (heads + 2 * kv_heads) * head_dim
    query_norm: Norm | None  # over each head, or over all of them together
    key_norm: Norm | None
    output: Linear  # heads * head_dim to hidden
    post_attention_norm: Norm | None
    mlp_norm: Norm | None
    mlp: MLP
    post_mlp_norm: Norm | None


@dataclass(frozen=True, slots=True)
class ModelWeights:
    """All parameters of a model; where the head is tied it has the embedding's numbers."""

    embedding: Tensor  # [vocab, hidden]
    positions: Tensor | None  # [context, hidden], learned
    layers: Sequence[LayerWeights]
    norm: Norm
    head: Linear  # hidden to vocab


# Given a layer's index and its query, key and value, [T, heads or kv_heads, head_dim]: what each token sees,
# [T, heads * head_dim].
Look = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Chunk(NamedTuple):
    """The next tokens of one sequence, int64 [T], the cache that holds those before, and of how many of the tokens,
    counted from the last, the logits are wanted."""

    tokens: Tensor
    cache: KVCache
    wanted: int = 1


class ForwardPass(Protocol):
    """What computes a model: `Model` by torch, for every family and device, or an accelerator beside it.

    batch_invariant: whether the tokens computed with a token cannot change its logits by a digit. torch_threads: how
    many threads torch should have beside it; None if it computes by torch itself.
    """

    config: ModelConfig
    context: int
    device: torch.device
    batch_invariant: bool
    torch_threads: int | None

    def new_cache(self, capacity: int) -> KVCache: ...

    def forward(self, chunks: Sequence[Chunk]) -> Tensor:
        """See `Model.forward`; what is returned may only be good until the next call."""
        ...

    def scores(self, logits: Tensor, vocabulary: int) -> Sequence[Scores]:
        """What samplers ask of the logits that `forward` returned; see `engine.scores.scores_of`."""
        ...

    def close(self) -> None:
        """Give back what it holds besides memory; it computes no more."""
        ...


class Model:
    """A config with its weights and rotary tables, ready to run on one device; only the caches it is given change."""

    batch_invariant = False
    torch_threads: int | None = None

    def __init__(self, config: ModelConfig, weights: ModelWeights, context: int) -> None:
        self.config = config
        self.weights = weights
        self.context = context
        self.device = weights.embedding.device
        self.dtype = weights.embedding.dtype
        ropes = {layer.rope for layer in config.layers if layer.rope is not None}
        self._rotations = {rope: rope.tables(context, self.device) for rope in ropes}

    def new_cache(self, capacity: int) -> KVCache:
        """An empty cache for `capacity` tokens on the model's device."""
        return KVCache.of_model(self.config, capacity, self.dtype, self.device)

    def scores(self, logits: Tensor, vocabulary: int) -> Sequence[Scores]:
        """See `engine.scores.scores_of`."""
        return scores_of(logits, vocabulary)

    def close(self) -> None:
        """Nothing is held besides memory."""

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk]) -> Tensor:
        """Run the chunks of several sequences at once and append their keys and values to their caches.

        Returns float32 logits, [tokens wanted, vocab], of one chunk after the other.
        """
        spans = _spans(chunks)
        positions = torch.cat([torch.arange(span.start, span.end, device=self.device) for span in spans])

        def look(index: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return self._look(spans, index, query, key, value)

        hidden = self.stream(torch.cat([chunk.tokens for chunk in chunks]), positions, look)
        for span in spans:
            span.cache.length = span.end
        wanted = [row for span in spans for row in span.wanted]
        return self.logits(hidden[wanted] if len(wanted) < len(hidden) else hidden)

    def stream(self, tokens: Tensor, positions: Tensor, look: Look) -> Tensor:
        """What the layers make of tokens at positions of their sequences, int64 [T] each: [T, hidden].

        look: how a layer's tokens look at those before them.
        """
        *_, hidden = self.streams(tokens, positions, look)
        return hidden

    def streams(self, tokens: Tensor, positions: Tensor, look: Look) -> Iterator[Tensor]:
        """As `stream`, but what there is before the first layer and after each."""
        config, weights = self.config, self.weights
        rotations = {rope: (cos[positions], sin[positions]) for rope, (cos, sin) in self._rotations.items()}
        hidden = F.embedding(tokens, weights.embedding)
        if config.embedding_scale != 1.0:
            hidden = hidden * torch.tensor(config.embedding_scale, dtype=hidden.dtype)
        if weights.positions is not None:
            hidden = hidden + weights.positions[positions]
        yield hidden
        for index, layer in enumerate(weights.layers):
            rope = config.layers[index].rope
            normed = layer.attention_norm(hidden) if layer.attention_norm else hidden
            query, key, value = self._project(normed, layer, rotations[rope] if rope else None)
            mixed = layer.output(look(index, query, key, value))
            hidden = self._add(hidden, layer.post_attention_norm(mixed) if layer.post_attention_norm else mixed)
            mixed = layer.mlp(layer.mlp_norm(hidden) if layer.mlp_norm else hidden)
            hidden = self._add(hidden, layer.post_mlp_norm(mixed) if layer.post_mlp_norm else mixed)
            yield hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Float32 logits of the stream after the last layer: [..., hidden] to [..., vocab]."""
        return finish_logits(self.config, self.weights.head(self.weights.norm(hidden)))

    def _project(
        self, x: Tensor, layer: LayerWeights, rotation: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of [T, hidden], rotated: [T, heads or kv_heads, head_dim] each."""
        config = self.config
        heads, kv_heads = config.num_heads, config.num_kv_heads
        projected = layer.qkv(x).view(len(x), heads + 2 * kv_heads, config.head_dim)
        turning, value = projected[:, :-kv_heads], projected[:, -kv_heads:]
        if layer.query_norm and layer.key_norm:
            query = _norm_heads(turning[:, :heads], layer.query_norm)
            turning = torch.cat((query, _norm_heads(turning[:, heads:], layer.key_norm)), dim=1)
        if rotation is not None:
            turning = _rotate(turning, *rotation)
        return turning[:, :heads], turning[:, heads:], value

    def _look(self, spans: Sequence[_Span], index: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[T, heads * head_dim]: each sequence over its own cache and itself."""
        config = self.config
        window = config.layers[index].window
        attended = []
        for span in spans:
            keys, values = span.cache.append(index, span.start, key[span.rows], value[span.rows])
            # What no token of the span may see need not be read.
            first = 0 if window is None else max(0, span.start - window + 1)
            mask = span.mask(first, window, config.group)
            options = {"scale": config.attention_scale, "softcap": config.attention_softcap}
            attended.append(attend(query[span.rows], keys[:, first:], values[:, first:], mask, **options))
        return attended[0] if len(attended) == 1 else torch.cat(attended)

    def _add(self, hidden: Tensor, block: Tensor) -> Tensor:
        scale = self.config.residual_scale
        return hidden + block if scale == 1.0 else hidden + block * scale


def finish_logits(config: ModelConfig, products: Tensor) -> Tensor:
    """What the head's products, [..., vocab], come to: scaled, squashed where the model does so, float32."""
    logits = products.float()
    if config.logit_scale != 1.0:
        logits = logits * config.logit_scale
    if (softcap := config.logit_softcap) is not None:
        logits = torch.tanh(logits / softcap) * softcap
    return logits


class _Span:
    """Where one chunk lies: which rows of the batch, which positions of its sequence."""

    def __init__(self, chunk: Chunk, row: int) -> None:
        self.cache = chunk.cache
        self.rows = slice(row, row + len(chunk.tokens))
        self.start = chunk.cache.length
        self.end = self.start + len(chunk.tokens)
        self.wanted = range(self.rows.stop - chunk.wanted, self.rows.stop)
        self._device = chunk.tokens.device
        self._masks: dict[int | None, Tensor | None] = {}

    def mask(self, first: int, window: int | None, group: int) -> Tensor | None:
        """The causal mask over the keys from position `first` on; made once for all layers with this window."""
        if window not in self._masks:
            self._masks[window] = causal_mask(self.end - self.start, self.end - first, window, group, self._device)
        return self._masks[window]


def _spans(chunks: Sequence[Chunk]) -> list[_Span]:
    spans: list[_Span] = []
    for chunk in chunks:
        spans.append(_Span(chunk, spans[-1].rows.stop if spans else 0))
    return spans


def _norm_heads(heads: Tensor, norm: Norm) -> Tensor:
    """Normalise [T, heads, head_dim] by head, or all heads of a token together, as wide as the norm is."""
    return norm(heads.reshape(len(heads), -1, norm.width)).view(heads.shape)


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (i, i + dim / 2) of the first `dim` numbers of each head: [T, heads, head_dim]."""
    half = cos.shape[-1]
    turned = heads.float()
    first, second = turned[..., :half], turned[..., half : 2 * half]
    parts = (first * cos - second * sin, second * cos + first * sin, turned[..., 2 * half :])
    return torch.cat(parts if heads.shape[-1] > 2 * half else parts[:2], dim=-1).to(heads.dtype)
