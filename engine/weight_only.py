"""Weights of 4 or 8 bits, for devices whose memory the whole numbers do not fit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# GGUF's storage types whose values this keeps.
FOUR_BITS = ("Q4_0", "Q4_1")
KEPT = (*FOUR_BITS, "Q8_0")
# Neighbouring numbers of a row with a scale of their own, as in the blocks of GGUF's Q4_0, Q4_1 and Q8_0.
GROUP = 32
# Numbers that are dequantised at once: this bounds the memory it takes.
AT_ONCE = 2**24
# Of a group's largest number: a group in 4 bits is told from others by this. A step of 4 bits is ten times as much.
SAME = 2**-7


class WeightOnly:
    """A linear map whose weights, [outputs, inputs], are kept in 4 bits where these hold them as exactly as bfloat16
    does, and else in 8; with a bias [outputs] or none.

    Products are those with the dequantised weights, in the dtype of the weights that were given. Weights that were
    quantised in groups of 32 before keep their values; any others are rounded by up to a 254th of their group's
    largest. What cannot be divided into groups is kept as it is.
    """

    kernel = "weight-only"

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._bias = bias
        self._dtype = weight.dtype
        self.bits = weight.dtype.itemsize * 8
        self._numbers, self._scale, self._low = weight, None, None
        if weight.shape[1] % GROUP == 0:
            self._quantise(weight)

    def __call__(self, x: Tensor) -> Tensor:
        rows = max(1, AT_ONCE // x.shape[-1])
        outputs = len(self._numbers)
        parts = [F.linear(x, self._weights(start, start + rows)) for start in range(0, outputs, rows)]
        product = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        return product if self._bias is None else product + self._bias

    def _quantise(self, weight: Tensor) -> None:
        four, eight = [], []
        for part in weight.split(max(1, AT_ONCE // weight.shape[1])):
            groups = part.float().view(len(part), -1, GROUP)
            found = _in_four_bits(groups) if len(four) == len(eight) else None
            if found is not None:
                four.append(found)
            eight.append(_in_eight_bits(groups))
        if len(four) == len(eight):
            numbers, scale, low = (torch.cat(each) for each in zip(*four, strict=True))
            self.bits, self._low = 4, low.to(self._dtype)
        else:
            numbers, scale = (torch.cat(each) for each in zip(*eight, strict=True))
            self.bits = 8
        self._numbers, self._scale = numbers, scale.to(self._dtype)

    def _weights(self, start: int, end: int) -> Tensor:
        """Dequantised rows, [rows, inputs]."""
        numbers = self._numbers[start:end]
        if self._scale is None:
            return numbers
        if self._low is None:
            return numbers.to(self._dtype).mul_(self._scale[start:end]).flatten(1)
        numbers = torch.cat((numbers & 15, numbers >> 4), dim=-1).to(self._dtype)
        return numbers.mul_(self._scale[start:end]).add_(self._low[start:end]).flatten(1)


def _in_eight_bits(groups: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers from -127 to 127, int8, of float32 [rows, groups, GROUP], and their scales, [rows, groups, 1]."""
    scale = groups.abs().amax(dim=-1, keepdim=True) / 127
    return _divided(groups, scale).round().to(torch.int8), scale


def _in_four_bits(groups: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Two numbers a byte of float32 [rows, groups, GROUP], the second half of a group in the higher bits; scales and
    lowest values, [rows, groups, 1]. None where 4 bits do not hold the groups."""
    low, high = groups.aminmax(dim=-1, keepdim=True)
    extreme = torch.where(high > -low, high, low)
    # In Q4_1 a group's lowest and highest are the ends of the range; in Q4_0 its largest is 8 steps from zero.
    ways = [((high - low) / 15, low), (extreme / -8, extreme)]
    best = None
    for scale, lowest in ways:
        numbers = _divided(groups - lowest, scale).round().clamp(0, 15)
        error = (numbers * scale + lowest - groups).abs().amax(dim=-1, keepdim=True)
        if best is None:
            best = numbers, scale, lowest, error
        else:
            better = error < best[3]
            found = (numbers, scale, lowest, error)
            best = tuple(torch.where(better, new, old) for new, old in zip(found, best, strict=True))
    assert best is not None
    numbers, scale, lowest, error = best
    if bool((error > SAME * extreme.abs()).any()):
        return None
    first, second = numbers.to(torch.uint8).chunk(2, dim=-1)
    return first | second << 4, scale, lowest


def _divided(numbers: Tensor, scale: Tensor) -> Tensor:
    return numbers / torch.where(scale == 0, torch.ones_like(scale), scale)
