"""Matrix products with a layer's weights, by the kernel that suits the device."""

from __future__ import annotations

from functools import cache
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.weight_only import WeightOnly

# oneDNN lays the weights out for this many rows of input; measured best for one row as well as for a prefill chunk.
ROWS_HINT = 64


class Linear(Protocol):
    """A linear map: [T, inputs] to [T, outputs], in the dtype of the weights."""

    def __call__(self, x: Tensor) -> Tensor: ...


class Dense:
    """Weights as they are, [outputs, inputs], with a bias [outputs] or none; any device and dtype."""

    kernel = "dense"

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._weight = weight
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weight, self._bias)


class Packed:
    """float32 weights in oneDNN's blocked layout, on the CPU.

    The same products as `Dense` but for the order of the sums, about twice as fast for one row and 1.7 times for a
    chunk, because the plain layout reaches less than half the memory's bandwidth. The ops are those that
    torch.compile lowers `F.linear` to (torch/_inductor/fx_passes/mkldnn_fusion.py).
    """

    kernel = "oneDNN packed"

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._bias = bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS_HINT)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")


LinearKind = type[Dense] | type[Packed] | type[WeightOnly]


def best_linear(device: torch.device, dtype: torch.dtype) -> LinearKind:
    """The fastest exact kernel for weights on this device."""
    return Packed if device.type == "cpu" and dtype is torch.float32 and _packing_works() else Dense


@cache
def _packing_works() -> bool:
    # The ops are no public interface: a torch without them, or a build where they differ, takes the plain path.
    weight, bias, x = torch.randn(96, 64), torch.randn(96), torch.randn(3, 64)
    try:
        return torch.allclose(Packed(weight, bias)(x), F.linear(x, weight, bias), rtol=1e-4, atol=1e-4)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
