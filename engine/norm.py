"""Normalisation of the stream before, after or inside the blocks of a layer."""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class Norm(Protocol):
    """Normalises the last dimension, `width` numbers; any shape before it."""

    @property
    def width(self) -> int: ...

    def __call__(self, x: Tensor) -> Tensor: ...


class RMSNorm:
    """Division by the root of the mean square (arXiv:1910.07467), then times `weight`, [width]."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        self.weight = weight
        self._eps = eps
        self.width = len(weight)

    def __call__(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (self.width,), self.weight, self._eps)


class LayerNorm:
    """Mean 0 and variance 1 (arXiv:1607.06450), then times `weight` plus `bias`, [width] each."""

    def __init__(self, weight: Tensor, bias: Tensor, eps: float) -> None:
        self._weight = weight
        self._bias = bias
        self._eps = eps
        self.width = len(weight)

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (self.width,), self._weight, self._bias, self._eps)
