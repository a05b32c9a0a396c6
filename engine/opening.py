"""From a model's path to what an engine is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from engine.checkpoint import Checkpoint, open_checkpoint
from engine.checkpoint.quantize import quantized
from engine.disk_kv import DiskKV
from engine.errors import EngineError, UnsupportedModel
from engine.info import KERNELS, EngineInfo, installed_version
from engine.kv_files import KVFiles
from engine.loading import DEFAULT_THREADS, Loading
from engine.model import ForwardPass

# Room for a long conversation; a model trained for more takes its KV memory only when asked for it.
DEFAULT_CONTEXT = 8192
# Runs that are served at once, where there is memory for their KV caches; further ones wait their turn.
SLOTS = 8
DTYPES: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Opened:
    """A model in memory with all that belongs to it. slots: runs there is memory for. disk: keeps keys and values."""

    checkpoint: Checkpoint
    loading: Loading
    model: ForwardPass
    info: EngineInfo
    slots: int
    disk: DiskKV | None


def open_model(
    path: Path,
    *,
    device: str,
    dtype: str,
    context: int | None,
    threads: int | None,
    kernels: str,
    quantize: str | None,
    deterministic: bool,
    kv_files: KVFiles | None,
    on_progress: Callable[[float], None] | None,
) -> Opened:
    """Open and load a model; arguments and errors are those of `Engine.load`."""
    if threads is not None and threads < 1:
        raise EngineError(f"threads must be at least 1, not {threads}")
    if kernels not in KERNELS:
        raise EngineError(f"unknown kernels {kernels!r:.40}: choose {', '.join(KERNELS)}")
    torch_device, torch_dtype = _placement(device, dtype)
    checkpoint = open_checkpoint(path)
    config = checkpoint.config
    if context is None:
        context = min(config.comfortable_context, DEFAULT_CONTEXT)
    if not 1 <= context <= config.context_length:
        raise UnsupportedModel(
            checkpoint.name, f"a context of {context:,} was asked for, but it has 1 to {config.context_length:,}"
        )
    # The digest is that of the model's own files.
    original = checkpoint
    if quantize is not None:
        source = quantized(checkpoint.source, checkpoint.layout, quantize, on_progress=on_progress)
        checkpoint = replace(checkpoint, source=source)
    loading = Loading(checkpoint, context, torch_device, torch_dtype, kernels, threads)
    with ThreadPoolExecutor(1) as executor:
        digest = executor.submit(original.digest)
        model = loading.load(on_progress)
    info = EngineInfo(
        name=checkpoint.name,
        architecture=config.family,
        parameters=checkpoint.parameters,
        quantization=checkpoint.quantization,
        bits=checkpoint.bits,
        memory_bytes=loading.need.total,
        context=context,
        vocabulary=config.vocab_size,
        device=str(torch_device),
        dtype=str(torch_dtype).removeprefix("torch."),
        kernels=loading.kernels,
        threads=threads or DEFAULT_THREADS,
        deterministic=deterministic,
        digest=digest.result(),
        version=installed_version(),
        reasoning=checkpoint.template.reasoning is not None,
        recommended=checkpoint.recommended,
        ignored=checkpoint.ignored,
    )
    disk = None
    # What torch computes in the deterministic mode is only used again where it was computed in whole chunks.
    if kv_files is not None and torch_device.type == "cpu" and (model.batch_invariant or not deterministic):
        # The rotary tables of some models depend on the context where it is longer than they are comfortable with.
        disk = DiskKV(kv_files, info, model.new_cache(1), max(context, config.comfortable_context))
    return Opened(checkpoint, loading, model, info, loading.slots(SLOTS), disk)


def _placement(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """Resolve `auto`: a CUDA device if there is one, float32 on the CPU and bfloat16 elsewhere."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch_device = torch.device(device)
        torch.empty(1, device=torch_device)
    except (RuntimeError, AssertionError) as error:
        raise EngineError(f"the device {device!r:.40} cannot be used here: choose auto or cpu") from error
    if dtype == "auto":
        dtype = "float32" if torch_device.type == "cpu" else "bfloat16"
    if dtype not in DTYPES:
        raise EngineError(f"unknown dtype {dtype!r:.40}: choose auto, {' or '.join(DTYPES)}")
    return torch_device, DTYPES[dtype]
