"""Reads GGUF files, trusting nothing in them.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Every count, length and offset is checked
against the bytes that are really there before anything is allocated for it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from engine.checkpoint.model_file import refuse_pickle
from engine.errors import ModelFormatError, UnsupportedModel

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_DIMENSIONS = 4
MAX_ELEMENTS = 2**48
MAX_NAME_BYTES = 4096
# Far beyond what sound files have: a vocabulary of 262,144 with its merges takes 1.3 million values and 15 MB.
MAX_TENSORS = 2**16
MAX_TEXT_BYTES = 2**24
MAX_ARRAY_VALUES = 2**22
MAX_HEADER_BYTES = 2**28
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
# Types of the same enum that are not dequantised here.
OTHER_TYPES: Mapping[int, str] = {
    9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S",
    24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


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
    """One GGUF file: its metadata as plain Python values and its tensors as bytes.

    Raises ModelNotFound if there is no such file, ModelFormatError if it is damaged, cut short or no GGUF,
    UnsupportedModel for a pickle, a version or a tensor type that is not known.
    """

    def __init__(self, path: Path) -> None:
        refuse_pickle(path)
        self.path = path
        try:
            with path.open("rb") as file:
                self._state = _state(file)
                cursor = _Cursor(file, self._state[0], path.name)
                tensor_count, field_count = _read_header(cursor)
                self.metadata: Mapping[str, Any] = _read_metadata(cursor, field_count)
                self.tensors: Mapping[str, GGUFTensor] = _read_tensors(cursor, tensor_count, self._alignment())
        except OSError as error:
            raise ModelFormatError(f"{path.name} cannot be read: {error.strerror or error}") from error

    def _alignment(self) -> int:
        alignment = self.metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if type(alignment) is not int or not 8 <= alignment <= 2**20 or alignment & (alignment - 1):
            raise ModelFormatError(f"{self.path.name}: alignment {alignment!r:.20} is not a power of two from 8 on")
        return alignment

    def data(self, tensor: GGUFTensor) -> np.ndarray:
        """The tensor's stored bytes: uint8 [nbytes], in memory of their own.

        They are read and not mapped, so that a file that is cut off meanwhile is an error and not a SIGBUS. Raises
        ModelFormatError if it changed since it was opened.
        """
        try:
            with self.path.open("rb") as file:
                state = _state(file)
                data = np.fromfile(file, np.uint8, tensor.nbytes, offset=tensor.offset)
        except OSError as error:
            raise ModelFormatError(f"{self.path.name} cannot be read: {error.strerror or error}") from error
        if state != self._state or len(data) != tensor.nbytes:
            raise ModelFormatError(f"{self.path.name} changed while it was read: load the model again")
        return data


def _state(file: BinaryIO) -> tuple[int, int]:
    """A file's size in bytes and its time of change in nanoseconds."""
    stat = os.fstat(file.fileno())
    return stat.st_size, stat.st_mtime_ns


class _Cursor:
    """Reads forward through the file's header and refuses to leave the file, or to hold more than a header may."""

    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self.file = file
        self.size = size
        self.name = name
        self.position = 0
        self.values_left = MAX_ARRAY_VALUES

    def need(self, count: int) -> None:
        if count > self.size - self.position:
            raise ModelFormatError(
                f"{self.name} is cut short or damaged: {count:,} bytes are announced at byte {self.position:,}, "
                f"but the file ends at {self.size:,}; fetch the model again"
            )

    def read(self, count: int) -> bytes:
        self.need(count)
        self.position += count
        if self.position > MAX_HEADER_BYTES:
            raise ModelFormatError(f"{self.name} is damaged: its header has more than {MAX_HEADER_BYTES:,} bytes")
        return self.file.read(count)

    def scalar(self, layout: str) -> Any:
        (value,) = struct.unpack(layout, self.read(struct.calcsize(layout)))
        return value

    def text(self) -> str:
        length = self.scalar("<Q")
        start = self.position
        self.need(length)
        if length > MAX_TEXT_BYTES:
            raise ModelFormatError(f"{self.name} is damaged: the text at byte {start:,} has {length:,} bytes")
        try:
            return self.read(length).decode("utf-8")
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
        if kind != STRING and kind not in SCALARS:
            raise ModelFormatError(f"{self.name}: arrays of type {kind} do not occur in sound GGUF files")
        self.need(count * (8 if kind == STRING else struct.calcsize(SCALARS[kind])))
        self.values_left -= count
        if self.values_left < 0:
            raise ModelFormatError(f"{self.name} is damaged: its lists have more than {MAX_ARRAY_VALUES:,} values")
        if kind == STRING:
            return [self.text() for _ in range(count)]
        dtype = np.dtype(SCALARS[kind])
        return np.frombuffer(self.read(count * dtype.itemsize), dtype).tolist()


def _read_header(cursor: _Cursor) -> tuple[int, int]:
    """The numbers of tensors and of metadata fields."""
    magic = cursor.file.read(len(MAGIC))
    if magic != MAGIC:
        raise ModelFormatError(
            f"{cursor.name} is not a GGUF model (it begins with {magic!r}): choose a .gguf model file"
        )
    cursor.position = len(MAGIC)
    version = cursor.scalar("<I")
    if version not in VERSIONS:
        if version & 0xFFFF == 0:
            raise UnsupportedModel(cursor.name, "it is a big-endian GGUF; convert it on a little-endian machine")
        raise UnsupportedModel(cursor.name, f"GGUF version {version} is not known (2 and 3 are)")
    tensor_count = cursor.scalar("<Q")
    field_count = cursor.scalar("<Q")
    # The smallest tensor entry and the smallest metadata entry take 32 and 13 bytes.
    cursor.need(tensor_count * 32 + field_count * 13)
    if tensor_count > MAX_TENSORS:
        raise ModelFormatError(f"{cursor.name} is damaged: it announces {tensor_count:,} tensors")
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
        raise UnsupportedModel(
            cursor.name, f"tensor {name!r:.80} has the type {OTHER_TYPES.get(code, code)}, which is not read here"
        )
    return name, shape, code, cursor.scalar("<Q")
