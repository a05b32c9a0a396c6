"""Packs matrices as GGUF stores them into the order the kernels read; by compiled code, as it is most of loading."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.native.blocks import BLOCK, CACHE_LINE, KINDS, LANES, STORED
from engine.native.compile import compiled


@dataclass(frozen=True, slots=True)
class BlockMatrix:
    """A packed matrix of `outputs` rows and `inputs` numbers a row; kind: its place in KINDS. data: uint8, on a
    cache line."""

    kind: int
    outputs: int
    inputs: int
    data: np.ndarray

    @property
    def address(self) -> int:
        return self.data.ctypes.data


def pack(quantization: str, rows: Tensor, inputs: int) -> BlockMatrix:
    """Pack the rows of a matrix as GGUF stores them, uint8 [outputs, bytes of a row].

    Raises OverflowError if the minimum of a Q4_0 block, -8 scales, is beyond float16.
    """
    stored = STORED[quantization]
    kind = KINDS[stored.kind]
    outputs, blocks = len(rows), inputs // BLOCK
    groups = -(-outputs // LANES)
    if outputs % LANES:
        rows = torch.nn.functional.pad(rows, (0, 0, 0, groups * LANES - outputs))
    numbers, scales, minima = stored.unpack(rows.reshape(-1, stored.nbytes))
    data = _on_cache_line(groups * blocks * kind.group_bytes)
    packed = data.reshape(groups, blocks, kind.group_bytes)
    lanes = numbers.view(torch.uint8).view(groups, LANES, blocks, BLOCK).numpy()
    (interleave_words if kind.bits == 4 else interleave_pairs)(lanes, packed)
    at = kind.numbers_bytes
    scales = scales.view(groups, LANES, blocks, kind.scales)
    for factors in (*scales.unbind(-1), *(() if minima is None else (minima.view(groups, LANES, blocks),))):
        # [group, lane, block] to the lanes of a block side by side.
        side_by_side = factors.permute(0, 2, 1).contiguous().view(torch.uint8)
        packed[..., at : at + kind.factor_bytes] = side_by_side.numpy()
        at += kind.factor_bytes
    return BlockMatrix(stored.kind, outputs, inputs, data)


@compiled
def interleave_words(numbers, packed):  # type: ignore[no-untyped-def]
    """4-bit numbers, uint8 [group, lane, block, 32], as words into uint8 [group, block, group_bytes]."""
    groups, lanes, blocks, count = numbers.shape
    for group in range(groups):
        for lane in range(lanes):
            for block in range(blocks):
                row, into = numbers[group, lane, block], packed[group, block]
                for word in range(count // 8):
                    for pair in range(2):
                        for upper in range(2):
                            k = word * 8 + upper * 4 + pair
                            into[(word * lanes + lane) * 4 + pair * 2 + upper] = row[k] | row[k + 2] << 4


@compiled
def interleave_pairs(numbers, packed):  # type: ignore[no-untyped-def]
    """8-bit numbers, uint8 [group, lane, block, 32], pair by pair into uint8 [group, block, group_bytes]."""
    groups, lanes, blocks, count = numbers.shape
    for group in range(groups):
        for lane in range(lanes):
            for block in range(blocks):
                row, into = numbers[group, lane, block], packed[group, block]
                for k in range(count):
                    into[(k // 2 * lanes + lane) * 2 + k % 2] = row[k]


def _on_cache_line(size: int) -> np.ndarray:
    room = np.empty(size + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    return room[start : start + size]
