"""A model's files, opened: what it is, without its weights in memory yet."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import torch

from engine.checkpoint.source import TensorSource
from engine.checkpoint.weights import load_weights
from engine.config import ModelConfig
from engine.errors import ModelFormatError
from engine.families.family import Layout
from engine.linear import LinearKind
from engine.model import ModelWeights
from engine.template import ChatTemplate
from engine.tokenizer import Tokenizer


@dataclass(frozen=True)
class Checkpoint:
    """A model as it lies on disk.

    path: the file or folder. files: all that make it what it is, tokenizer and template included. recommended: the
    sampling settings its authors advise, by the names of `Sampling`. ignored: a line for each piece of their advice
    that cannot be followed, and why.

    Raises ModelFormatError if tokenizer and embedding do not belong together.
    """

    name: str
    path: Path
    config: ModelConfig
    tokenizer: Tokenizer
    template: ChatTemplate
    source: TensorSource
    layout: Layout
    files: tuple[Path, ...]
    recommended: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.tokenizer.vocabulary > self.config.vocab_size:
            raise ModelFormatError(
                f"{self.name}: the tokenizer has {self.tokenizer.vocabulary:,} tokens, "
                f"the embedding only {self.config.vocab_size:,}"
            )

    @cached_property
    def parameters(self) -> int:
        """How many numbers the files hold."""
        return sum(prod(tensor.shape) for tensor in self.source.tensors.values())

    @property
    def quantization(self) -> str:
        """The storage type that holds most of the numbers."""
        sizes: Counter[str] = Counter()
        for tensor in self.source.tensors.values():
            sizes[tensor.quantization] += prod(tensor.shape)
        return sizes.most_common(1)[0][0]

    @property
    def bits(self) -> float:
        """Mean bits a number takes on disk."""
        return 8 * sum(tensor.nbytes for tensor in self.source.tensors.values()) / self.parameters

    def weights(
        self,
        dtype: torch.dtype,
        device: torch.device,
        on_progress: Callable[[float], None] | None = None,
        linear: LinearKind | None = None,
    ) -> ModelWeights:
        """Every tensor, laid out for the device; see `load_weights`."""
        return load_weights(self.source, self.layout, self.config, dtype, device, on_progress, linear)

    def digest(self) -> str:
        """SHA-256, in hexadecimal: of the file, or of the digests of all files in the order of their names."""
        digests = []
        for path in sorted(self.files, key=lambda path: path.name):
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
