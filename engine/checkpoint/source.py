"""What a model's files give, whichever format they are in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from torch import Tensor


class StoredTensor(NamedTuple):
    """A tensor as it lies in a file. shape: outermost dimension first. quantization: its storage type's name."""

    shape: tuple[int, ...]
    quantization: str
    nbytes: int


class TensorSource(Protocol):
    """Named tensors in one or several files; opening one has checked every size against the files' real length."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file the tensors come from."""
        ...

    @property
    def tensors(self) -> Mapping[str, StoredTensor]: ...

    def load(self, name: str) -> Tensor:
        """The tensor on the CPU, in memory of its own: float32, float16 or bfloat16 as stored, else float32.

        Raises ModelFormatError if its bytes cannot be read.
        """
        ...

    def stored(self, name: str) -> Tensor:
        """The tensor's bytes as they are stored, uint8 [nbytes], in memory of their own; raises as `load` does."""
        ...
