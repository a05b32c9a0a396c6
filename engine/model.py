"""The forward pass: token ids in, logits out, keys and values left in the cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.config import ModelConfig
from engine.kv_cache import KVCache
from engine.linear import Linear


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One decoder layer.

    Projections that read the same input are stacked, so that a layer is four products instead of seven.
    """

    attention_norm: Tensor  # [hidden]
    qkv: Linear  # hidden to (heads + 2 * kv_heads) * head_dim
    output: Linear  # heads * head_dim to hidden
    mlp_norm: Tensor  # [hidden]
    gate_up: Linear  # hidden to 2 * intermediate
    down: Linear  # intermediate to hidden


@dataclass(frozen=True, slots=True)
class ModelWeights:
    """All parameters of a model; where the head is tied it has the embedding's numbers."""

    embedding: Tensor  # [vocab, hidden]
    layers: tuple[LayerWeights, ...]
    norm: Tensor  # [hidden]
    head: Linear  # hidden to vocab


class Model:
    """A config with its weights and rotary tables, ready to run on one device; only the caches it is given change."""

    def __init__(self, config: ModelConfig, weights: ModelWeights, context: int) -> None:
        self.config = config
        self.weights = weights
        self.context = context
        self.device = weights.embedding.device
        self.dtype = weights.embedding.dtype
        self._cos, self._sin = _rotary_tables(config, context, self.device)

    def new_cache(self, capacity: int) -> KVCache:
        """An empty cache for `capacity` tokens on the model's device."""
        config = self.config
        shape = (config.num_layers, config.num_kv_heads, capacity, config.head_dim)
        return KVCache(shape, self.dtype, self.device)

    @torch.inference_mode()
    def forward(self, tokens: Tensor, cache: KVCache, *, all_logits: bool = False) -> Tensor:
        """Run `tokens`, int64 [T], after what the cache holds, and append their keys and values to it.

        Returns float32 logits: [vocab] of the last token, or [T, vocab] with `all_logits`.
        """
        config = self.config
        start, end = cache.length, cache.length + len(tokens)
        cos, sin = self._cos[start:end], self._sin[start:end]
        mask = _lower_right_mask(len(tokens), end, config.group, self.device)
        hidden = F.embedding(tokens, self.weights.embedding)
        for index, layer in enumerate(self.weights.layers):
            normed = F.rms_norm(hidden, (config.hidden_size,), layer.attention_norm, config.rms_norm_eps)
            attended = self._attention(layer.qkv(normed), cos, sin, mask, cache, index, start)
            hidden = hidden + layer.output(attended)
            normed = F.rms_norm(hidden, (config.hidden_size,), layer.mlp_norm, config.rms_norm_eps)
            gate, up = layer.gate_up(normed).chunk(2, dim=-1)
            hidden = hidden + layer.down(F.silu(gate) * up)
        cache.length = end
        if not all_logits:
            hidden = hidden[-1:]
        hidden = F.rms_norm(hidden, (config.hidden_size,), self.weights.norm, config.rms_norm_eps)
        logits = self.weights.head(hidden).float()
        return logits if all_logits else logits[0]

    def _attention(
        self, qkv: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: KVCache, layer: int, start: int
    ) -> Tensor:
        """qkv [T, (heads + 2 * kv_heads) * head_dim] to [T, heads * head_dim], over the cache and itself."""
        config = self.config
        count = len(qkv)
        heads = qkv.view(count, config.num_heads + 2 * config.num_kv_heads, config.head_dim)
        rotated = _rotate(heads[:, : -config.num_kv_heads], cos, sin)
        query, key = rotated[:, : config.num_heads], rotated[:, config.num_heads :]
        keys, values = cache.append(layer, start, key, heads[:, -config.num_kv_heads :])
        # The query heads of a group become rows of the query, so that no key or value is repeated: with one token
        # this is the fast path of the fused kernel, which `enable_gqa` misses.
        folded = query.view(count, config.num_kv_heads, config.group, config.head_dim)
        folded = folded.permute(1, 2, 0, 3).reshape(1, config.num_kv_heads, config.group * count, config.head_dim)
        attended = F.scaled_dot_product_attention(folded, keys.unsqueeze(0), values.unsqueeze(0), attn_mask=mask)
        unfolded = attended.view(config.num_kv_heads, config.group, count, config.head_dim)
        return unfolded.permute(2, 0, 1, 3).reshape(count, config.num_heads * config.head_dim)


def _rotary_tables(config: ModelConfig, context: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of RoPE (arXiv:2104.09864): float32 [context, 1, head_dim / 2]."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    frequencies = 1.0 / (config.rope_theta**exponents)
    angles = torch.outer(torch.arange(context, dtype=torch.float32), frequencies).unsqueeze(1)
    return angles.cos().to(device), angles.sin().to(device)


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (i, i + head_dim / 2) of each head: [T, heads, head_dim]."""
    first, second = heads.float().chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(heads.dtype)


def _lower_right_mask(count: int, total: int, group: int, device: torch.device) -> Tensor | None:
    """Causal mask of the last `count` of `total` tokens, once a query head of the group: bool [group * count, total].

    None for a single token, which sees everything.
    """
    if count == 1:
        return None
    mask = torch.ones(count, total, dtype=torch.bool, device=device).tril(diagonal=total - count)
    return mask.repeat(group, 1)
