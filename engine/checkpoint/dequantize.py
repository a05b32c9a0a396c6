"""Turns the stored blocks of a GGUF tensor into numbers, exactly as ggml defines them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from engine.checkpoint.gguf_file import GGUFTensor

STORED_DTYPES: Mapping[str, torch.dtype] = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def dequantize(tensor: GGUFTensor, data: np.ndarray) -> Tensor:
    """The tensor's numbers, of its shape: float32, float16 or bfloat16 where they are stored so, else float32.

    data: its stored bytes, uint8 [nbytes], which the result may share. The types met most are done here; the rest
    by the `gguf` package, the reference, which takes at most twice as long for K-quants as torch would.
    """
    name = tensor.quantization.name
    if dtype := STORED_DTYPES.get(name):
        return torch.from_numpy(data).view(dtype).reshape(tensor.shape)
    if unpack := UNPACKERS.get(name):
        blocks = torch.from_numpy(data).reshape(-1, tensor.quantization.block_bytes)
        return unpack(blocks).reshape(tensor.shape)
    from gguf import GGMLQuantizationType, quants

    rows = data.reshape(*tensor.shape[:-1], -1)
    return torch.from_numpy(quants.dequantize(rows, GGMLQuantizationType(tensor.code)))


def _half(blocks: Tensor, start: int) -> Tensor:
    """The float16 at byte `start` of each block: float32 [blocks, 1]."""
    return blocks[:, start : start + 2].clone().view(torch.float16).float()


def _nibbles(packed: Tensor) -> Tensor:
    """uint8 [blocks, 16] to float32 [blocks, 32]: low nibbles are elements 0 to 15, high ones 16 to 31."""
    return torch.cat((packed & 0x0F, packed >> 4), dim=1).float()


def _q4_0(blocks: Tensor) -> Tensor:
    return _nibbles(blocks[:, 2:]).sub_(8.0).mul_(_half(blocks, 0))


def _q4_1(blocks: Tensor) -> Tensor:
    return _nibbles(blocks[:, 4:]).mul_(_half(blocks, 0)).add_(_half(blocks, 2))


def _q8_0(blocks: Tensor) -> Tensor:
    return blocks[:, 2:].clone().view(torch.int8).float().mul_(_half(blocks, 0))


UNPACKERS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q8_0": _q8_0,
}
