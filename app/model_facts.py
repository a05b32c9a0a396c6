"""What a model file is, and whether there is memory for it, without loading its weights.

The engine brings torch, whose import takes seconds: its parts are imported where they are first needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import EngineError
from engine.native import missing
from weights import CatalogEntry, Suggestion

if TYPE_CHECKING:
    from engine.memory import MemoryNeed

# Above this share of the free memory, other programs and the page cache are squeezed.
COMFORTABLE = 0.8
# What the engine computes in by default.
DTYPE = {"cpu": "float32", "cuda": "bfloat16"}

Verdict = Literal["fits", "tight", "does not fit"]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """parameters: count. bits: mean per parameter, as stored. context_length: tokens it was made for.

    memory: for a conversation of `memory.context` tokens on this machine.
    """

    title: str
    family: str
    parameters: int
    quantization: str
    bits: float
    context_length: int
    memory: MemoryNeed
    verdict: Verdict


def placement() -> tuple[str, int]:
    """The device models run on here by default, and the bytes of memory free on it."""
    import torch

    from engine.memory import available

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return device, available(device)


def inspect(path: Path, context: int | None, device: str, free: int) -> ModelFacts | str:
    """The facts about a model's file or folder, or in one line why it cannot be used.

    context: tokens, by default what the engine would choose; at most the model's own.
    """
    try:
        return _facts(path, context, device, free)
    except (EngineError, OSError) as error:
        reason = str(error)
    # One file with a shape that nobody has thought of must not hide the others.
    except Exception as error:
        reason = f"{path.name} cannot be read: {type(error).__name__}: {error}"
    return " ".join(reason.split())


def verdict(need: int, free: int) -> Verdict:
    """Whether `need` bytes fit where `free` are free."""
    return "fits" if need <= COMFORTABLE * free else "tight" if need <= free else "does not fit"


def estimated_memory(suggestion: Suggestion | CatalogEntry, device: str) -> int:
    """About how many bytes a model of the hub will take here, before its header is known."""
    import torch

    from engine.memory import WORKING_BYTES
    from engine.opening import DEFAULT_CONTEXT

    dtype: torch.dtype = getattr(torch, DTYPE[device])
    packed = device == "cpu" and missing() is None
    weights = suggestion.bytes if packed else suggestion.parameters * dtype.itemsize
    context = min(suggestion.context, DEFAULT_CONTEXT)
    return weights + suggestion.kv_numbers_per_token * context * dtype.itemsize + WORKING_BYTES


def _facts(path: Path, context: int | None, device: str, free: int) -> ModelFacts:
    import torch

    from engine.checkpoint import open_checkpoint
    from engine.loading import Loading
    from engine.opening import DEFAULT_CONTEXT

    checkpoint = open_checkpoint(path)
    config = checkpoint.config
    chosen = min(context or min(config.comfortable_context, DEFAULT_CONTEXT), config.context_length)
    need = Loading(checkpoint, chosen, torch.device(device), getattr(torch, DTYPE[device])).need
    return ModelFacts(
        title=checkpoint.name,
        family=config.family,
        parameters=checkpoint.parameters,
        quantization=checkpoint.quantization,
        bits=checkpoint.bits,
        context_length=config.context_length,
        memory=need,
        verdict=verdict(need.total, free),
    )
