"""Quantised matrices in the order the kernels read them, packed from GGUF's blocks without loss.

Rows lie in groups of 16, one a lane, and along a row in blocks of 32 numbers. A block of a group is, one after the
other for its 16 rows,

- Q4: 4 words of eight 4-bit numbers, then a float16 scale, then a float16 minimum: number * scale + minimum;
- Q8: 16 pairs of int8 numbers, then a float16 scale.

Bits 4j and 16 + 4j of word g are numbers 8g + 2j and 8g + 2j + 1 of the row, so that one shift and one mask leave a
pair of int16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LANES = 16
BLOCK = 32
Q4, Q8 = 0, 1
# Bytes of a block for 16 rows.
GROUP_BYTES = (LANES * (BLOCK // 2 + 4), LANES * (BLOCK + 2))
# Bytes of a block in GGUF (ggml-common.h), for the storage types that can be packed.
FILE_BYTES = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}
CACHE_LINE = 64


@dataclass(frozen=True, slots=True)
class BlockMatrix:
    """A packed matrix of `outputs` rows and `inputs` numbers a row; kind: Q4 or Q8. data: uint8, on a cache line."""

    kind: int
    outputs: int
    inputs: int
    data: np.ndarray

    @property
    def address(self) -> int:
        return self.data.ctypes.data


def padded(count: int) -> int:
    """`count` rows with those that fill up the last group."""
    return -(-count // LANES) * LANES


def packable(quantization: str, inputs: int) -> bool:
    """Whether rows of `inputs` numbers of a GGUF storage type can be packed."""
    return quantization in FILE_BYTES and inputs % BLOCK == 0


def packed_bytes(quantization: str, numbers: int) -> int:
    """Bytes that many numbers take when packed, but for filling up the last group."""
    return numbers // (LANES * BLOCK) * GROUP_BYTES[Q8 if quantization == "Q8_0" else Q4]


def pack(quantization: str, rows: Tensor, inputs: int) -> BlockMatrix:
    """Pack the rows of a matrix as GGUF stores them, uint8 [outputs, bytes of a row].

    Raises OverflowError if the minimum of a Q4_0 block, -8 scales, is beyond float16.
    """
    outputs, count = len(rows), inputs // BLOCK
    groups = -(-outputs // LANES)
    if outputs % LANES:
        rows = torch.nn.functional.pad(rows, (0, 0, 0, groups * LANES - outputs))
    # [group, lane, block, byte]
    blocks = rows.view(groups, LANES, count, FILE_BYTES[quantization])
    kind = Q8 if quantization == "Q8_0" else Q4
    data = _on_cache_line(groups * count * GROUP_BYTES[kind])
    packed = torch.from_numpy(data).view(groups, count, GROUP_BYTES[kind])
    if kind == Q8:
        pairs = blocks[..., 2:].reshape(groups, LANES, count, BLOCK // 2, 2)
        packed[..., : LANES * BLOCK] = pairs.permute(0, 2, 3, 1, 4).reshape(groups, count, -1)
        packed[..., LANES * BLOCK :] = _lanes(blocks[..., :2])
        return BlockMatrix(kind, outputs, inputs, data)
    start = FILE_BYTES[quantization] - BLOCK // 2
    numbers = torch.cat((blocks[..., start:] & 0x0F, blocks[..., start:] >> 4), dim=-1)
    # [..., word, upper or lower byte, upper or lower half of a byte, first or second of a pair]
    numbers = numbers.view(groups, LANES, count, BLOCK // 8, 2, 2, 2)
    octets = numbers[..., 0, :] | numbers[..., 1, :] << 4
    packed[..., : LANES * BLOCK // 2] = octets.permute(0, 2, 3, 1, 5, 4).reshape(groups, count, -1)
    scales = blocks[..., :2]
    packed[..., LANES * BLOCK // 2 : -2 * LANES] = _lanes(scales)
    packed[..., -2 * LANES :] = _lanes(blocks[..., 2:4] if quantization == "Q4_1" else _minima(scales))
    return BlockMatrix(kind, outputs, inputs, data)


def _lanes(halves: Tensor) -> Tensor:
    """A float16 of each block, uint8 [group, lane, block, 2], beside those of the other lanes: [group, block, 32]."""
    groups, lanes, count, size = halves.shape
    return halves.permute(0, 2, 1, 3).reshape(groups, count, lanes * size)


def _minima(scales: Tensor) -> Tensor:
    minima = scales.contiguous().view(torch.float16) * -8
    if not minima.isfinite().all():
        raise OverflowError("a block's minimum is beyond float16")
    return minima.view(torch.uint8)


def _on_cache_line(size: int) -> np.ndarray:
    room = np.empty(size + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    return room[start : start + size]
