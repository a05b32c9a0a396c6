"""A GGUF model as one source of tensors, in one file or split over several."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.checkpoint.dequantize import dequantize
from engine.checkpoint.gguf_file import GGUFFile
from engine.checkpoint.model_file import member
from engine.checkpoint.source import StoredTensor
from engine.errors import ModelFormatError

# How llama.cpp names the parts (llama_split_path in its llama.cpp) and what their metadata says of the whole.
PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)
SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS = "split.no", "split.count", "split.tensors.count"
MAX_PARTS = 1000


class GGUFSource:
    """The metadata and the tensors of a GGUF model; given one part of a split model, all of its parts.

    metadata: of the first part, which holds the model's. Raises as GGUFFile does, and ModelFormatError if parts are
    missing, in the wrong order or of different models.
    """

    def __init__(self, path: Path) -> None:
        given = GGUFFile(path)
        count = given.metadata.get(SPLIT_COUNT, 1)
        if type(count) is not int or not 0 <= count <= MAX_PARTS:
            raise ModelFormatError(f"{path.name} is damaged: it says that it is split into {count!r:.20} parts")
        parts = _all_parts(given, count) if count > 1 else [given]
        self.metadata: Mapping[str, Any] = parts[0].metadata
        self.files: tuple[Path, ...] = tuple(part.path for part in parts)
        self._part_of: dict[str, GGUFFile] = {}
        for part in parts:
            for name in part.tensors:
                if name in self._part_of:
                    other = self._part_of[name].path.name
                    raise ModelFormatError(f"tensor {name!r:.80} is in {other} and {part.path.name}: fetch both again")
                self._part_of[name] = part
        self.tensors: Mapping[str, StoredTensor] = {
            name: StoredTensor(tensor.shape, tensor.quantization.name, tensor.nbytes)
            for part in parts
            for name, tensor in part.tensors.items()
        }

    def load(self, name: str) -> Tensor:
        """The tensor on the CPU, in memory of its own: float32, float16 or bfloat16 as stored, else float32.

        Raises ModelFormatError if its bytes cannot be read.
        """
        part = self._part_of[name]
        tensor = part.tensors[name]
        return dequantize(tensor, part.data(tensor))

    def stored(self, name: str) -> Tensor:
        """The tensor's bytes as they are stored, uint8 [nbytes], in memory of their own; raises as `load` does."""
        part = self._part_of[name]
        return torch.from_numpy(part.data(part.tensors[name]))


def gguf_in(folder: Path) -> Path | None:
    """The one GGUF model of a folder, by its first part if it is split; None if there is none.

    Raises ModelFormatError if there are several.
    """
    models: dict[str, Path] = {}
    for path in sorted(folder.glob("*.gguf")):
        part = PART.fullmatch(path.name)
        models.setdefault(f"{part['stem']} of {part['count']}" if part else path.name, path)
    if len(models) > 1:
        first = next(iter(models.values())).name
        raise ModelFormatError(f"{folder} holds {len(models)} .gguf models: name the one to use, such as {first}")
    return next(iter(models.values()), None)


def _all_parts(given: GGUFFile, count: int) -> Sequence[GGUFFile]:
    """Every part, in order; `given` is one of them."""
    path = given.path
    name = PART.fullmatch(path.name)
    if name is None or int(name["count"]) != count:
        raise ModelFormatError(
            f"{path.name} is one of {count} parts: give it the name it had, MODEL-00001-of-{count:05}.gguf"
        )
    names = [f"{name['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]
    paths = [member(path.parent, name) for name in names]
    if missing := [part.name for part in paths if not part.is_file()]:
        raise ModelFormatError(f"{path.name} lacks {len(missing)} of its {count} parts, such as {missing[0]}")
    parts = [given if part == path else GGUFFile(part) for part in paths]
    for index, part in enumerate(parts):
        metadata = part.metadata
        if metadata.get(SPLIT_NO) != index or metadata.get(SPLIT_COUNT) != count:
            raise ModelFormatError(
                f"{part.path.name} says it is part {metadata.get(SPLIT_NO)!r:.20} (from 0) "
                f"of {metadata.get(SPLIT_COUNT)!r:.20}: give the parts the names they had"
            )
        for key in (SPLIT_TENSORS, *(key for key in metadata if key.startswith("general."))):
            if metadata.get(key) != parts[0].metadata.get(key):
                raise ModelFormatError(f"{part.path.name} is of another model than {paths[0].name}: their {key} differ")
    announced, found = parts[0].metadata.get(SPLIT_TENSORS), sum(len(part.tensors) for part in parts)
    if announced != found:
        raise ModelFormatError(f"{paths[0].name} announces {announced!r:.20} tensors, its {count} parts hold {found}")
    return parts
