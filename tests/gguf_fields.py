"""Where each field of a GGUF file lies, so that tests can break one of them at a time."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

# Bytes of a metadata value, by its type.
SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


class Field(NamedTuple):
    """A little-endian number in the file. role: what it says, such as `general.name type` or `t.weight offset`."""

    role: str
    start: int
    size: int


def gguf_fields(data: bytes) -> Iterator[Field]:
    """Every number of a file's header, in order; of a damaged file, whatever follows from what it announces."""
    return _Walk(data).fields()


def replaced(data: bytes, role: str, value: int) -> bytes:
    """The file with the number of this role changed."""
    (field,) = (field for field in gguf_fields(data) if field.role == role)
    number = (value % 2 ** (8 * field.size)).to_bytes(field.size, "little")
    return data[: field.start] + number + data[field.start + field.size :]


class _Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def fields(self) -> Iterator[Field]:
        yield self.field("magic", 4)
        yield self.field("version", 4)
        tensors, entries = self.field("tensor count", 8), self.field("entry count", 8)
        yield from (tensors, entries)
        for _ in range(self.number(entries)):
            length = self.field("", 8)
            name = self.text(self.number(length))
            yield length._replace(role=f"{name} key length")
            kind = self.field(f"{name} type", 4)
            yield kind
            yield from self.value(name, self.number(kind))
        for _ in range(self.number(tensors)):
            length = self.field("", 8)
            name = self.text(self.number(length))
            yield length._replace(role=f"{name} name length")
            dimensions = self.field(f"{name} dimensions", 4)
            yield dimensions
            for index in range(self.number(dimensions)):
                yield self.field(f"{name} shape {index}", 8)
            yield self.field(f"{name} type", 4)
            yield self.field(f"{name} offset", 8)

    def value(self, name: str, kind: int) -> Iterator[Field]:
        if kind == 8:
            length = self.field(f"{name} length", 8)
            yield length
            self.position += self.number(length)
        elif kind == 9:
            element, count = self.field(f"{name} element type", 4), self.field(f"{name} count", 8)
            yield from (element, count)
            # A list of lists, which no sound file has, is taken for one of numbers.
            kind = 4 if self.number(element) == 9 else self.number(element)
            for index in range(self.number(count)):
                yield from self.value(f"{name} {index}", kind)
        else:
            yield self.field(name, SCALAR_BYTES.get(kind, 4))

    def field(self, role: str, size: int) -> Field:
        self.position += size
        return Field(role, self.position - size, size)

    def number(self, field: Field) -> int:
        return int.from_bytes(self.data[field.start : field.start + field.size], "little")

    def text(self, length: int) -> str:
        self.position += length
        return self.data[self.position - length : self.position][:99].decode("utf-8", "replace")


def string(text: str | bytes) -> bytes:
    """A string as GGUF stores it."""
    content = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(content)) + content
