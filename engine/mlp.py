"""The second block of a layer: one MLP, or a mixture of which a few are computed for each token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.config import Activation
from engine.linear import Linear

ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}


class MLP(Protocol):
    """[T, hidden] to [T, hidden]."""

    def __call__(self, x: Tensor) -> Tensor: ...


class GatedMLP:
    """down(activation(gate(x)) * up(x)) (arXiv:2002.05202); gate_up: hidden to 2 * intermediate, the gate first."""

    def __init__(self, gate_up: Linear, down: Linear, activation: Activation) -> None:
        self._gate_up = gate_up
        self._down = down
        self._activation = ACTIVATIONS[activation]

    def __call__(self, x: Tensor) -> Tensor:
        gate, up = self._gate_up(x).chunk(2, dim=-1)
        return self._down(self._activation(gate) * up)


class PlainMLP:
    """down(activation(up(x)))."""

    def __init__(self, up: Linear, down: Linear, activation: Activation) -> None:
        self._up = up
        self._down = down
        self._activation = ACTIVATIONS[activation]

    def __call__(self, x: Tensor) -> Tensor:
        return self._down(self._activation(self._up(x)))


class MixtureOfExperts:
    """The `per_token` likeliest of the experts, weighted by their probability (arXiv:2401.04088).

    router: hidden to number of experts. normalized: the weights of the chosen ones are scaled to add up to 1.
    """

    def __init__(self, router: Linear, experts: Sequence[MLP], per_token: int, *, normalized: bool) -> None:
        self._router = router
        self._experts = tuple(experts)
        self._per_token = per_token
        self._normalized = normalized

    def __call__(self, x: Tensor) -> Tensor:
        probabilities = F.softmax(self._router(x).float(), dim=-1)
        shares, chosen = probabilities.topk(self._per_token, dim=-1)
        if self._normalized:
            shares = shares / shares.sum(dim=-1, keepdim=True)
        shares = shares.to(x.dtype)
        mixed = torch.zeros_like(x)
        for expert in chosen.unique().tolist():
            rows, places = (chosen == expert).nonzero(as_tuple=True)
            mixed.index_add_(0, rows, self._experts[expert](x[rows]) * shares[rows, places].unsqueeze(1))
        return mixed
