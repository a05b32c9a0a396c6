"""Tensors of a Hugging Face folder: one safetensors file, or shards with an index.

The format: https://huggingface.co/docs/safetensors. The `safetensors` library reads the numbers; everything that a
header announces is checked before, because what is wrong should be told in one line and because the library leaves
the index to its callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from engine.checkpoint.json_file import parse_json, read_json
from engine.checkpoint.model_file import ADVICE, member, pickles_in, refuse_pickle
from engine.checkpoint.source import StoredTensor
from engine.errors import ModelFormatError, ModelNotFound, UnsupportedModel

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
# A hundred thousand tensors need about 12 MB.
MAX_HEADER_BYTES = 32 * 2**20
MAX_INDEX_BYTES = 32 * 2**20
MAX_SHARDS = 4096
MAX_DIMENSIONS = 8
MAX_DIMENSION = 2**48

# Bits of an element: enum Dtype of the safetensors library. Those that a model is run from, and the others.
FLOATS: Mapping[str, int] = {"F32": 32, "F16": 16, "BF16": 16}
OTHERS: Mapping[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8,
}  # fmt: skip
DTYPE_BITS: Mapping[str, int] = {**FLOATS, **OTHERS}


class SafetensorsSource:
    """The tensors of a folder with `model.safetensors`, or with `model.safetensors.index.json` and its shards.

    Raises ModelNotFound if there is neither, UnsupportedModel if there are pickles instead or a dtype is not known,
    ModelFormatError if a header, the index or a file's length contradict each other.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open_files: dict[Path, Any] = {}
        single, index = member(folder, SINGLE), member(folder, INDEX)
        if single.exists():
            self.files: tuple[Path, ...] = (single,)
            self.tensors: Mapping[str, StoredTensor] = read_header(single)
            self._file_of: Mapping[str, Path] = dict.fromkeys(self.tensors, single)
        elif index.exists():
            self._file_of = _read_index(index)
            shards = sorted(set(self._file_of.values()))
            headers = {shard: read_header(shard) for shard in shards}
            self.tensors = {name: _listed(name, shard, headers) for name, shard in self._file_of.items()}
            self.files = (index, *shards)
        else:
            _refuse_folder(folder)

    def load(self, name: str) -> Tensor:
        """The tensor on the CPU, in memory of its own: float32, float16 or bfloat16 as stored.

        Raises UnsupportedModel if it is stored as anything else, ModelFormatError if its bytes cannot be read.
        """
        from safetensors import SafetensorError, safe_open

        stored, path = self.tensors[name], self._file_of[name]
        if stored.quantization not in FLOATS:
            known = ", ".join(FLOATS)
            raise UnsupportedModel(path.name, f"tensor {name!r:.80} is stored as {stored.quantization}, not {known}")
        try:
            if path not in self._open_files:
                self._open_files[path] = safe_open(path, framework="pt", device="cpu")
            # A copy, because the library hands out a view of the mapped file.
            tensor = self._open_files[path].get_tensor(name).clone()
        except (SafetensorError, OSError) as error:
            raise ModelFormatError(f"{path.name}: tensor {name!r:.80} cannot be read ({error!s:.120})") from error
        if tensor.shape != stored.shape:
            raise ModelFormatError(f"{path.name} changed while it was read: load the model again")
        return tensor

    def stored(self, name: str) -> Tensor:
        """The tensor's bytes as they are stored, uint8 [nbytes], in memory of their own; raises as `load` does."""
        return self.load(name).view(-1).view(torch.uint8)


def read_header(path: Path) -> dict[str, StoredTensor]:
    """What one safetensors file announces, checked against its real length.

    Raises ModelNotFound, ModelFormatError or UnsupportedModel as `SafetensorsSource` does.
    """
    refuse_pickle(path)

    def refuse(why: str) -> NoReturn:
        raise ModelFormatError(f"{path.name} is cut short or damaged: {why}; fetch the model again")

    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                refuse(f"its header should have {length:,} bytes, but the file has {size:,}")
            if length > MAX_HEADER_BYTES:
                refuse(f"its header has {length:,} bytes, where {MAX_HEADER_BYTES:,} are plenty")
            text = file.read(length)
    except OSError as error:
        raise ModelFormatError(f"{path.name} cannot be read: {error.strerror or error}") from error
    if not text.startswith(b"{"):
        refuse(f"its header begins with {text[:4]!r}, which is not JSON")
    header = parse_json(text, path.name)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        refuse("its __metadata__ does not map text to text")
    tensors: dict[str, StoredTensor] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        shape, dtype, start, end = _entry(path, name, entry)
        if end > size - 8 - length:
            refuse(f"tensor {name!r:.80} ends at byte {end:,} of {size - 8 - length:,}")
        if end - start != (prod(shape) * DTYPE_BITS[dtype] + 7) // 8:
            refuse(f"tensor {name!r:.80}, {dtype} {shape}, does not take {end - start:,} bytes")
        tensors[name] = StoredTensor(shape, dtype, end - start)
        spans.append((start, end, name))
    expected = 0
    for start, end, name in sorted(spans):
        if start != expected:
            refuse(f"tensor {name!r:.80} begins at byte {start:,} instead of {expected:,}")
        expected = end
    if expected != size - 8 - length:
        refuse(f"its tensors end at byte {expected:,} of {size - 8 - length:,}")
    return tensors


def _entry(path: Path, name: str, entry: Any) -> tuple[tuple[int, ...], str, int, int]:
    """A tensor's shape, dtype, start and end (bytes after the header)."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ModelFormatError(f"{path.name} is damaged: tensor {name!r:.80} has no dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not _sizes(shape) or len(shape) > MAX_DIMENSIONS or prod(shape) > MAX_DIMENSION:
        raise ModelFormatError(f"{path.name} is damaged: tensor {name!r:.80} has the shape {shape!r:.80}")
    if not _sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ModelFormatError(f"{path.name} is damaged: tensor {name!r:.80} lies at {offsets!r:.80}")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise UnsupportedModel(path.name, f"tensor {name!r:.80} has the unknown dtype {dtype!r:.40}")
    return tuple(shape), dtype, offsets[0], offsets[1]


def _sizes(values: Any) -> bool:
    """Whether this is a list of sizes; JSON's true and false, which Python counts as 1 and 0, are none."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= MAX_DIMENSION for value in values)


def _read_index(index: Path) -> dict[str, Path]:
    """Which shard holds each tensor."""
    listed = read_json(index, MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(listed, dict) or not listed or not all(isinstance(shard, str) for shard in listed.values()):
        raise ModelFormatError(f"{index.name} is damaged: its weight_map does not name a file for each tensor")
    names = set(listed.values())
    if len(names) > MAX_SHARDS:
        raise ModelFormatError(f"{index.name} is damaged: it names {len(names):,} files")
    shards = {}
    for name in names:
        if Path(name).suffix != ".safetensors":
            raise UnsupportedModel(index.name, f"it names {name!r:.80}, and only .safetensors files are read")
        shards[name] = member(index.parent, name)
    if missing := sorted(name for name, path in shards.items() if not path.is_file()):
        raise ModelFormatError(
            f"{index.parent.name} lacks {len(missing)} of its {len(shards)} files, such as {missing[0]!r:.80}: "
            "fetch the model again"
        )
    return {tensor: shards[name] for tensor, name in listed.items()}


def _listed(name: str, shard: Path, headers: Mapping[Path, Mapping[str, StoredTensor]]) -> StoredTensor:
    if name in headers[shard]:
        return headers[shard][name]
    elsewhere = next((path.name for path, header in headers.items() if name in header), None)
    where = f"but it lies in {elsewhere}" if elsewhere else "but it lies nowhere"
    raise ModelFormatError(
        f"{INDEX} says that tensor {name!r:.80} lies in {shard.name}, {where}: fetch the model again"
    )


def _refuse_folder(folder: Path) -> NoReturn:
    if pickles := pickles_in(folder):
        raise UnsupportedModel(
            folder.name, f"{pickles[0].name} is a pickle, which may run code and is never read: {ADVICE}"
        )
    raise ModelNotFound(f"there is neither {SINGLE} nor {INDEX} in {folder}: give a folder with one of them")
