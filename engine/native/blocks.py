"""Quantised matrices in the order the kernels read them, packed from GGUF's blocks without loss.

Rows lie in groups of 16, one a lane, and along a row in blocks of 32 numbers. A block of a group is, one after the
other for its 16 rows, the numbers, their scales and their minima, as its `Kind` has them: a weight is number * scale +
minimum. 4-bit numbers are unsigned, in 4 words of eight: bits 4j and 16 + 4j of word g are numbers 8g + 2j and
8g + 2j + 1 of the row, so that one shift and one mask leave a pair of int16. 8-bit numbers are signed, in 16 pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

LANES = 16
BLOCK = 32
CACHE_LINE = 64


@dataclass(frozen=True, slots=True)
class Kind:
    """bits: of a number. scaled: how many numbers share a scale. minimum: whether a block has one.

    wide: scales and minima are float32 instead of float16, where they are products that float16 would round.
    """

    bits: int
    scaled: int = BLOCK
    minimum: bool = False
    wide: bool = False

    @property
    def numbers_bytes(self) -> int:
        """Of a block of a group, before its scales."""
        return LANES * BLOCK * self.bits // 8

    @property
    def factor_bytes(self) -> int:
        """Of the scales, or the minima, of a group's rows."""
        return LANES * (4 if self.wide else 2)

    @property
    def scales(self) -> int:
        """Scales of a row's block."""
        return BLOCK // self.scaled

    @property
    def group_bytes(self) -> int:
        return self.numbers_bytes + self.factor_bytes * (self.scales + self.minimum)


KINDS = (
    Kind(4, minimum=True),
    Kind(8),
    Kind(4, minimum=True, wide=True),
    Kind(8, minimum=True, wide=True),
    Kind(8, scaled=16, wide=True),
)
Q4, Q8, Q4_WIDE, Q8_WIDE, Q8_FINE = range(len(KINDS))


class Stored(NamedTuple):
    """A GGUF storage type: bytes and numbers of its blocks, the kind it is packed as, and what takes it apart."""

    nbytes: int
    numbers: int
    kind: int
    unpack: Callable[[Tensor], Unpacked]


class Unpacked(NamedTuple):
    """Blocks taken apart: int8 or uint8 [blocks, numbers]; scales [blocks, numbers / scaled], and minima or none."""

    numbers: Tensor
    scales: Tensor
    minima: Tensor | None = None


def padded(count: int) -> int:
    """`count` rows with those that fill up the last group."""
    return -(-count // LANES) * LANES


def packable(quantization: str, inputs: int) -> bool:
    """Whether rows of `inputs` numbers of a GGUF storage type can be packed."""
    return quantization in STORED and inputs % STORED[quantization].numbers == 0


def packed_bytes(quantization: str, numbers: int) -> int:
    """Bytes that many numbers take when packed, but for filling up the last group."""
    return numbers // (LANES * BLOCK) * KINDS[STORED[quantization].kind].group_bytes


def _half(blocks: Tensor, start: int) -> Tensor:
    """The float16 at byte `start` of each block: [blocks, 1]."""
    return blocks[:, start : start + 2].contiguous().view(torch.float16)


def _nibbles(packed: Tensor) -> Tensor:
    """uint8 [..., n] to [..., 2n]: the low halves, then the high ones."""
    return torch.cat((packed & 0x0F, packed >> 4), dim=-1)


def _q4_0(blocks: Tensor) -> Unpacked:
    scales = _half(blocks, 0)
    minima = scales * -8
    if not minima.isfinite().all():
        raise OverflowError("a block's minimum is beyond float16")
    return Unpacked(_nibbles(blocks[:, 2:]), scales, minima)


def _q4_1(blocks: Tensor) -> Unpacked:
    return Unpacked(_nibbles(blocks[:, 4:]), _half(blocks, 0), _half(blocks, 2))


def _q5_0(blocks: Tensor) -> Unpacked:
    return Unpacked((_five_bits(blocks, 2) - 16).view(torch.int8), _half(blocks, 0))


def _q5_1(blocks: Tensor) -> Unpacked:
    return Unpacked(_five_bits(blocks, 4), _half(blocks, 0).float(), _half(blocks, 2).float())


def _five_bits(blocks: Tensor, start: int) -> Tensor:
    """Fifth bits in 4 bytes from `start` on, the others in the 16 bytes after them."""
    high = (blocks[:, start : start + 4].unsqueeze(-1) >> torch.arange(8, dtype=torch.uint8)) & 1
    return _nibbles(blocks[:, start + 4 :]) | high.view(len(blocks), BLOCK) << 4


def _q8_0(blocks: Tensor) -> Unpacked:
    return Unpacked(blocks[:, 2:].contiguous(), _half(blocks, 0))


def _k_factors(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Scales and minima of the eight parts of Q4_K and Q5_K, float32 [blocks, 8]: get_scale_min_k4 in ggml-quants.c."""
    scale, minimum = _half(blocks, 0).float(), _half(blocks, 2).float()
    low, mid, high = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = torch.cat((low & 63, (high & 15) | (low >> 6) << 4), dim=-1)
    minima = torch.cat((mid & 63, (high >> 4) | (mid >> 6) << 4), dim=-1)
    return scales * scale, minima * -minimum


def _q4_k(blocks: Tensor) -> Unpacked:
    return Unpacked(_nibbles(blocks[:, 16:].view(len(blocks), 4, 32)).view(len(blocks), 256), *_k_factors(blocks))


def _q5_k(blocks: Tensor) -> Unpacked:
    low = _nibbles(blocks[:, 48:].view(len(blocks), 4, 32)).view(len(blocks), 8, 32)
    high = (blocks[:, None, 16:48] >> torch.arange(8, dtype=torch.uint8)[:, None]) & 1
    return Unpacked((low | high << 4).view(len(blocks), 256), *_k_factors(blocks))


def _q6_k(blocks: Tensor) -> Unpacked:
    # Two halves of 128 numbers; 64 bytes of low bits and 32 of high bits each.
    low = _nibbles(blocks[:, :128].view(len(blocks), 2, 64)).view(len(blocks), 2, 4, 32)
    high = (blocks[:, 128:192].view(len(blocks), 2, 1, 32) >> torch.arange(0, 8, 2, dtype=torch.uint8)[:, None]) & 3
    numbers = ((low | high << 4) - 32).view(torch.int8)
    scales = blocks[:, 192:208].contiguous().view(torch.int8) * _half(blocks, 208).float()
    return Unpacked(numbers.view(len(blocks), 256), scales)


# Bytes and numbers of a block: ggml-common.h.
STORED: Mapping[str, Stored] = {
    "Q4_0": Stored(18, 32, Q4, _q4_0),
    "Q4_1": Stored(20, 32, Q4, _q4_1),
    "Q5_0": Stored(22, 32, Q8, _q5_0),
    "Q5_1": Stored(24, 32, Q8_WIDE, _q5_1),
    "Q8_0": Stored(34, 32, Q8, _q8_0),
    "Q4_K": Stored(144, 256, Q4_WIDE, _q4_k),
    "Q5_K": Stored(176, 256, Q8_WIDE, _q5_k),
    "Q6_K": Stored(210, 256, Q8_FINE, _q6_k),
}
