"""The shape of a model, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from engine.errors import ModelFormatError, UnsupportedModel
from engine.rope import LongRopeScaling, Rope

# Beyond any published model; what is larger is damage, not ambition.
MAX_SIZE = 2**24
MAX_LAYERS = 2**10
MAX_CONTEXT = 2**31
MAX_EXPERTS = 2**12

Activation = Literal["silu", "gelu", "gelu_tanh", "relu"]


@dataclass(frozen=True, slots=True)
class LayerConfig:
    """What may differ from layer to layer.

    rope: None for a layer without rotary positions. window: how many tokens a token sees, itself included; None for
    all before it. experts: whether the layer's MLP is a mixture of experts.
    """

    rope: Rope | None
    window: int | None = None
    experts: bool = False


@dataclass(frozen=True, slots=True)
class ExpertConfig:
    """A mixture of experts: of `count` gated MLPs, `per_token` are computed for each token.

    normalized: whether the probabilities of the chosen ones are scaled to add up to 1.
    """

    count: int
    per_token: int
    intermediate_size: int
    normalized: bool


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A decoder: embedding, layers of attention and MLP between norms, head.

    Sizes are counts of numbers, context_length counts tokens. attention_scale multiplies the products of queries and
    keys; a softcap c turns x into c * tanh(x / c); embedding_scale, residual_scale and logit_scale multiply the
    embeddings, what each block adds to the stream, and the logits. tied_head: whether the head has the embedding's
    weights; None where the file tells by leaving the head out.

    Raises ModelFormatError if the numbers cannot belong to one model.
    """

    family: str
    layers: tuple[LayerConfig, ...]
    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    context_length: int
    norm_eps: float
    attention_scale: float
    norm: Literal["rms", "layer"] = "rms"
    activation: Activation = "silu"
    gated_mlp: bool = True
    learned_positions: bool = False
    attention_softcap: float | None = None
    logit_softcap: float | None = None
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_scale: float = 1.0
    experts: ExpertConfig | None = None
    tied_head: bool | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise ModelFormatError(f"the model has {len(self.layers):,} layers, which is not from 1 to {MAX_LAYERS:,}")
        for name in ("hidden_size", "intermediate_size", "num_heads", "num_kv_heads", "head_dim", "vocab_size"):
            _require_count(name, getattr(self, name), MAX_SIZE)
        _require_count("context_length", self.context_length, MAX_CONTEXT)
        for name in ("norm_eps", "attention_scale", "attention_softcap", "logit_softcap", "embedding_scale",
                     "residual_scale", "logit_scale"):  # fmt: skip
            _require_positive(name, getattr(self, name))
        if self.num_heads % self.num_kv_heads:
            raise ModelFormatError(
                f"the model's {self.num_heads} heads cannot share {self.num_kv_heads} key-value heads evenly"
            )
        for layer in self.layers:
            self._check_layer(layer)
        if self.experts is not None:
            _require_count("number of experts", self.experts.count, MAX_EXPERTS)
            _require_count("number of experts per token", self.experts.per_token, self.experts.count)
            _require_count("experts' intermediate_size", self.experts.intermediate_size, MAX_SIZE)

    def _check_layer(self, layer: LayerConfig) -> None:
        if layer.window is not None:
            _require_count("sliding window", layer.window, MAX_CONTEXT)
        if layer.experts and self.experts is None:
            raise ModelFormatError("the model has layers with experts, but does not say how many experts")
        if layer.rope is None:
            return
        _require_positive("rope_theta", layer.rope.theta)
        if layer.rope.dim % 2 or not 0 < layer.rope.dim <= self.head_dim:
            raise UnsupportedModel(
                f"a {self.family} model",
                f"rotary positions turn an even number of a head's {self.head_dim} numbers, not {layer.rope.dim}",
            )

    @property
    def group(self) -> int:
        """Query heads that share one key-value head."""
        return self.num_heads // self.num_kv_heads

    @property
    def kv_numbers_per_token(self) -> int:
        """Numbers the KV cache holds for one token."""
        return 2 * len(self.layers) * self.num_kv_heads * self.head_dim

    @property
    def comfortable_context(self) -> int:
        """The longest context without changing how the model computes short ones, as LongRoPE does."""
        scalings = [layer.rope.scaling for layer in self.layers if layer.rope is not None]
        original = [scaling.original_context for scaling in scalings if isinstance(scaling, LongRopeScaling)]
        return min([self.context_length, *original])


def _require_count(name: str, value: object, limit: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
        raise ModelFormatError(f"the model's {name} is {value!r:.40}, which is not from 1 to {limit:,}")


def _require_positive(name: str, value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and 0.0 < value < 1e12):
        raise ModelFormatError(f"the model's {name} is {value!r:.40}, which is not a positive number")
