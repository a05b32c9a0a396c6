"""Which models the compiled forward pass computes; nothing here needs the compiler."""

from __future__ import annotations

from math import prod

import torch

from engine.checkpoint import Checkpoint
from engine.native.blocks import LANES, STORED, packable, packed_bytes
from engine.native.code_cache import missing


def refusal(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why a model cannot be computed by compiled code here, in a few words; None if it can."""
    config, layout = checkpoint.config, checkpoint.layout
    names = layout.names
    if device.type != "cpu" or dtype != torch.float32:
        return f"it computes float32 on the CPU, not {str(dtype).removeprefix('torch.')} on {device.type}"
    if reason := missing():
        return reason
    stored = {name.removeprefix(layout.prefix): tensor for name, tensor in checkpoint.source.tensors.items()}
    for tensor in stored.values():
        if len(tensor.shape) == 2 and not packable(tensor.quantization, tensor.shape[-1]):
            return f"it takes weights of {', '.join(STORED)} in whole blocks, not {tensor.quantization}"
    layers = range(len(config.layers))
    head_norms = [stored.get(f"{name.format(index)}.weight") for name in (names.query_norm, names.key_norm) if name
                  for index in layers]  # fmt: skip
    biased = {name.format(index) for name in names.qkv for index in layers}
    differences = {
        "layers": config.norm != "rms" or not config.gated_mlp or config.activation != "silu" or layout.transposed,
        "experts": config.experts is not None,
        "norms": bool(names.post_attention_norm or names.post_mlp_norm)
        or not (names.attention_norm and names.mlp_norm)
        or any(norm and norm.shape != (config.head_dim,) for norm in head_norms),
        "softcap": config.attention_softcap is not None,
        "biases": any(n.endswith(".bias") and n.removesuffix(".bias") not in biased for n in stored),
        "head size": bool(config.head_dim % LANES),
    }
    different = [part for part, differs in differences.items() if differs]
    return f"it does not compute the {' and '.join(different)} of {config.family} models" if different else None


def native_bytes(checkpoint: Checkpoint) -> int:
    """Bytes of the weights as they are packed."""
    return sum(
        packed_bytes(tensor.quantization, prod(tensor.shape)) if len(tensor.shape) == 2 else 4 * prod(tensor.shape)
        for tensor in checkpoint.source.tensors.values()
    )
