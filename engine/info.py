"""What a loaded engine says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Facts about a loaded model, recorded with every answer.

    parameters: count. quantization: the storage type of most of them. context: tokens the KV cache of a run holds.
    vocabulary: logits per token. kernels: how the matrix products are computed. digest: SHA-256 of the model file.
    version: Fireside's.
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


def installed_version() -> str:
    """Fireside's version, or `source` where it runs without being installed."""
    try:
        return metadata.version("fireside")
    except metadata.PackageNotFoundError:
        return "source"
