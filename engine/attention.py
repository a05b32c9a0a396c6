"""Scaled dot-product attention of new tokens over the keys and values of their sequence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, *, scale: float, softcap: float | None
) -> Tensor:
    """Attention of T tokens, the last of `total`.

    query: [T, heads, head_dim]. keys, values: [kv_heads, total, head_dim]. mask: bool [T * group, total], True where
    a token may look, as `causal_mask` makes it; None lets every token see everything.
    Returns [T, heads * head_dim].
    """
    count, heads, head_dim = query.shape
    kv_heads = len(keys)
    group = heads // kv_heads
    # The query heads of a group become rows of the query, so that no key or value is repeated: with one token this
    # is the fast path of the fused kernel, which `enable_gqa` misses.
    folded = query.view(count, kv_heads, group, head_dim).permute(1, 2, 0, 3).reshape(kv_heads, group * count, head_dim)
    if softcap is None:
        attended = F.scaled_dot_product_attention(
            folded.unsqueeze(0), keys.unsqueeze(0), values.unsqueeze(0), attn_mask=mask, scale=scale
        )
    else:
        attended = _capped_attention(folded, keys, values, mask, scale, softcap)
    unfolded = attended.view(kv_heads, group, count, head_dim)
    return unfolded.permute(2, 0, 1, 3).reshape(count, heads * head_dim)


def attend_rows(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, *, scale: float, softcap: float | None
) -> Tensor:
    """Attention of one token of each of several sequences.

    query: [rows, heads, head_dim]. keys, values: [rows, kv_heads, total, head_dim]. mask: bool [rows, 1, 1, total],
    True where a token may look. Returns [rows, heads * head_dim].
    """
    rows, kv_heads, _, head_dim = keys.shape
    folded = query.reshape(rows, kv_heads, -1, head_dim)
    if softcap is None:
        attended = F.scaled_dot_product_attention(folded, keys, values, attn_mask=mask, scale=scale)
    else:
        attended = _capped_attention(folded, keys, values, mask, scale, softcap)
    return attended.reshape(rows, -1)


def attention_weights(
    query: Tensor, keys: Tensor, *, window: int | None, scale: float, softcap: float | None
) -> Tensor:
    """How much the last token looks at each: float32 [heads, total], each row of sum 1.

    query: [1, heads, head_dim]. keys: [kv_heads, total, head_dim]. window: how many tokens it sees, itself included.
    """
    kv_heads, total, head_dim = keys.shape
    scores = query.view(kv_heads, -1, head_dim).float() @ keys.float().transpose(-1, -2) * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if window is not None and window < total:
        scores[..., : total - window] = float("-inf")
    return F.softmax(scores, dim=-1).reshape(-1, total)


def causal_mask(count: int, total: int, window: int | None, group: int, device: torch.device) -> Tensor | None:
    """What the last `count` of `total` tokens may see: bool [group * count, total], once a query head of the group.

    window: how many tokens each sees, itself included. None for a single token that sees everything.
    """
    if count == 1 and (window is None or total <= window):
        return None
    mask = torch.ones(count, total, dtype=torch.bool, device=device).tril(diagonal=total - count)
    if window is not None:
        mask = mask.triu(diagonal=total - count - window + 1)
    return mask.repeat(group, 1)


def _capped_attention(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float, softcap: float
) -> Tensor:
    """Gemma 2's (arXiv:2408.00118, section 2): scores are squashed to ±softcap, which fused kernels do not do."""
    scores = torch.tanh(query @ keys.transpose(-1, -2) * (scale / softcap)) * softcap
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return F.softmax(scores.float(), dim=-1).to(values.dtype) @ values
