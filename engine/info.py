"""What a loaded engine says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from types import MappingProxyType
from typing import Any

# What can be asked for; what a model is computed by is NATIVE or the name of torch's kernels.
KERNELS = ("auto", "native", "torch")
NATIVE = "native"


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Facts about a loaded model, recorded with every answer.

    architecture: the family. parameters: count. quantization: the storage type of most of them. bits: mean bits a
    parameter takes on disk. memory_bytes: what the weights, the KV cache of one conversation and the working space
    take. context: tokens the KV cache of a run holds. vocabulary: logits per token. kernels: how the matrix products
    are computed. threads: of the CPU. deterministic: whether an answer depends on nothing but what it is an answer to;
    see `Engine.load`. digest: SHA-256 of the model's files. version: Fireside's. reasoning: whether it thinks before it
    answers (engine.reasoning). recommended: the sampling its authors advise, by the names of `Sampling`; what they
    say nothing about is not in it. ignored: a line for each piece of their advice that cannot be followed, and why.
    remote: address of the server that computes, where that is another one; it has no token ids to go on from.
    """

    name: str
    architecture: str
    parameters: int
    quantization: str
    context: int
    vocabulary: int
    device: str
    dtype: str
    kernels: str
    digest: str
    version: str
    threads: int = 0
    deterministic: bool = False
    bits: float = 0.0
    memory_bytes: int = 0
    reasoning: bool = False
    recommended: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    ignored: tuple[str, ...] = ()
    remote: str = ""


def installed_version() -> str:
    """Fireside's version, or `source` where it runs without being installed."""
    try:
        return metadata.version("fireside")
    except metadata.PackageNotFoundError:
        return "source"
