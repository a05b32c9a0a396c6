"""Reads GGUF files, trusting nothing in them.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Every count, length and offset is checked
against the bytes that are really there before anything is allocated for it.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.errors import ModelFormatError, UnsupportedModel

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_DIMENSIONS = 4
MAX_ELEMENTS = 2**48
MAX_NAME_BYTES = 4096
DEFAULT_ALIGNMENT = 32

STRING, ARRAY = 8, 9
SCALARS: Mapping[int, str] = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip


class Quantization(NamedTuple):
    """How a tensor is stored: `block_elements` numbers in `block_bytes` bytes."""

    name: str
    block_elements: int
    block_bytes: int


# Codes and block sizes: enum ggml_type and the block_* structs in ggml's ggml.h and ggml-common.h.
QUANTIZATIONS: Mapping[int, Quantization] = {
    0: Quantization("F32", 1, 4),
    1: Quantization("F16", 1, 2),
    2: Quantization("Q4_0", 32, 18),
    3: Quantization("Q4_1", 32, 20),
    6: Quantization("Q5_0", 32, 22),
    7: Quantization("Q5_1", 32, 24),
    8: Quantization("Q8_0", 32, 34),
    10: Quantization("Q2_K", 256, 84),
    11: Quantization("Q3_K", 256, 110),
    12: Quantization("Q4_K", 256, 144),
    13: Quantization("Q5_K", 256, 176),
    14: Quantization("Q6_K", 256, 210),
    20: Quantization("IQ4_NL", 32, 18),
    23: Quantization("IQ4_XS", 256, 136),
    30: Quantization("BF16", 1, 2),
}


@dataclass(frozen=True, slots=True)
class GGUFTensor:
    """Where a tensor lies. shape: outermost dimension first, as torch has it. offset: bytes from the file's start."""

    name: str
    shape: tuple[int, ...]
    quantization: Quantization
    code: int
    offset: int
    nbytes: int


class GGUFFile:
    """An open GGUF file: its metadata as plain Python values and its tensors as bytes.

    Raises ModelFormatError if the file is damaged, cut short or no GGUF, UnsupportedModel for a version or a tensor
    type that is not known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise ModelFormatError(f"{path.name} is empty: fetch the model again") from error
        except OSError as error:
            raise ModelFormatError(f"{path.name} cannot be read: {error.strerror or error}") from error
        cursor = _Cursor(self._bytes, path.name)
        tensor_count, field_count = _read_header(cursor, path.name)
        self.metadata: Mapping[str, Any] = _read_metadata(cursor, field_count)
        self.tensors: Mapping[str, GGUFTensor] = _read_tensors(cursor, tensor_count, self._alignment())
        self.size = len(self._bytes)

    def _alignment(self) -> int:
        alignment = self.metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 8 or alignment > 2**20 or alignment & (alignment - 1):
            raise ModelFormatError(f"{self.path.name}: alignment {alignment!r:.20} is not a power of two from 8 on")
        return alignment

    def data(self, tensor: GGUFTensor) -> np.ndarray:
        """The tensor's stored bytes: uint8 [nbytes], a read-only view of the file."""
        return np.frombuffer(self._bytes, np.uint8, tensor.nbytes, tensor.offset)


class _Cursor:
    """Reads forward through the file and refuses to leave it."""

    def __init__(self, data: mmap.mmap, name: str) -> None:
        self.data = data
        self.position = 0
        self.name = name

    def need(self, count: int) -> None:
        if count > len(self.data) - self.position:
            raise ModelFormatError(
                f"{self.name} is cut short or damaged: {count:,} bytes are announced at byte {self.position:,}, "
                f"but the file ends at {len(self.data):,}; fetch the model again"
            )

    def scalar(self, layout: str) -> Any:
        size = struct.calcsize(layout)
        self.need(size)
        (value,) = struct.unpack_from(layout, self.data, self.position)
        self.position += size
        return value

    def text(self) -> str:
        length = self.scalar("<Q")
        self.need(length)
        start = self.position
        self.position += length
        try:
            return self.data[start : self.position].decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelFormatError(f"{self.name} is damaged: the text at byte {start:,} is not UTF-8") from error

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            return self.array()
        if kind in SCALARS:
            return self.scalar(SCALARS[kind])
        raise ModelFormatError(f"{self.name} is damaged: unknown value type {kind} at byte {self.position:,}")

    def array(self) -> list[Any]:
        kind = self.scalar("<I")
        count = self.scalar("<Q")
        if kind == STRING:
            self.need(count * 8)
            return [self.text() for _ in range(count)]
        if kind not in SCALARS:
            raise ModelFormatError(f"{self.name}: arrays of type {kind} do not occur in sound GGUF files")
        dtype = np.dtype(SCALARS[kind])
        self.need(count * dtype.itemsize)
        values = np.frombuffer(self.data, dtype, count, self.position).tolist()
        self.position += count * dtype.itemsize
        return values


def _read_header(cursor: _Cursor, name: str) -> tuple[int, int]:
    if cursor.data[:4] != MAGIC:
        raise ModelFormatError(
            f"{name} is not a GGUF model (it begins with {cursor.data[:4]!r}): choose a .gguf model file"
        )
    cursor.position = len(MAGIC)
    version = cursor.scalar("<I")
    if version not in VERSIONS:
        if version & 0xFFFF == 0:
            raise UnsupportedModel(name, "it is a big-endian GGUF; convert it on a little-endian machine")
        raise UnsupportedModel(name, f"GGUF version {version} is not known (2 and 3 are)")
    tensor_count = cursor.scalar("<Q")
    field_count = cursor.scalar("<Q")
    # The smallest tensor entry and the smallest metadata entry take 32 and 13 bytes.
    cursor.need(tensor_count * 32 + field_count * 13)
    return tensor_count, field_count


def _read_metadata(cursor: _Cursor, count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for _ in range(count):
        key = cursor.text()
        if key in metadata:
            raise ModelFormatError(f"{cursor.name} is damaged: {key!r:.80} occurs twice")
        metadata[key] = cursor.value(cursor.scalar("<I"))
    return metadata


def _read_tensors(cursor: _Cursor, count: int, alignment: int) -> dict[str, GGUFTensor]:
    announced = [_read_tensor(cursor) for _ in range(count)]
    start = -(-cursor.position // alignment) * alignment
    tensors: dict[str, GGUFTensor] = {}
    previous_end = start
    for name, shape, code, offset in sorted(announced, key=lambda entry: entry[3]):
        quantization = QUANTIZATIONS[code]
        if shape[-1] % quantization.block_elements:
            raise ModelFormatError(
                f"{cursor.name}: rows of {name!r:.80} are no multiple of a {quantization.name} block"
            )
        nbytes = prod(shape) // quantization.block_elements * quantization.block_bytes
        begin = start + offset
        if offset % alignment or begin < previous_end:
            raise ModelFormatError(f"{cursor.name} is damaged: tensor {name!r:.80} is misplaced at byte {begin:,}")
        if name in tensors:
            raise ModelFormatError(f"{cursor.name} is damaged: tensor {name!r:.80} occurs twice")
        cursor.position = begin
        cursor.need(nbytes)
        previous_end = begin + nbytes
        tensors[name] = GGUFTensor(name, shape, quantization, code, begin, nbytes)
    return tensors


def _read_tensor(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name = cursor.text()
    if len(name) > MAX_NAME_BYTES:
        raise ModelFormatError(f"{cursor.name} is damaged: a tensor's name has {len(name):,} characters")
    dimensions = cursor.scalar("<I")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise ModelFormatError(f"{cursor.name} is damaged: tensor {name!r:.80} has {dimensions} dimensions")
    shape = tuple(cursor.scalar("<Q") for _ in range(dimensions))[::-1]
    if not all(shape) or prod(shape) > MAX_ELEMENTS:
        raise ModelFormatError(f"{cursor.name} is damaged: tensor {name!r:.80} has the shape {shape}")
    code = cursor.scalar("<I")
    if code not in QUANTIZATIONS:
        raise UnsupportedModel(cursor.name, f"tensor {name!r:.80} has the unknown type {code}")
    return name, shape, code, cursor.scalar("<Q")
