"""A file from elsewhere, read in pieces: hostile until it is parsed, and refused before it needs much memory."""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import ijson

from app.errors import AppError

PIECE = 1 << 16
MAX_STRING = 16 << 20
MAX_DEPTH = 500
# Of one conversation: its bytes, and for each value the memory that Python needs for it beside its text.
MAX_WEIGHT = 96 << 20
VALUE_WEIGHT = 64
BRACKETS = b"[]{}"
NO_BRACKETS = bytes(set(range(256)) - set(BRACKETS))


class ImportRefused(AppError):
    """The file is no export that can be read; nothing of it is imported."""


class ImportCancelled(AppError):
    """The user has had enough; nothing of the file is imported."""


class Source:
    """The bytes of one file, as often as they are opened.

    name: its name without the folder. advance: called with the number of bytes of each piece that was read.
    """

    def __init__(self, name: str, open: Callable[[], IO[bytes]], advance: Callable[[int], None]) -> None:
        self.name = name
        self._open = open
        self._advance = advance

    @property
    def stem(self) -> str:
        return Path(self.name).name.split(".")[0]

    def elements(self, prefix: str, depth: int) -> Iterator[Any]:
        """The JSON values at an ijson prefix, each read whole, one after the other.

        depth: how many brackets are open around one. Raises ImportRefused.
        """
        with self._open() as file:
            guarded = _Guarded(file, self.name, depth, self._advance)
            twice: list[str] = []
            try:
                # As floats, its numbers would be refused from 2**63 on.
                for value in ijson.items(guarded, prefix, use_float=False, map_type=_noting(twice)):
                    if twice:
                        raise self._twice(twice[0])
                    yield _with_floats(value)
            except (ijson.JSONError, UnicodeError, ValueError, OverflowError, RecursionError) as error:
                raise ImportRefused(f"{self.name:.100} is no sound JSON: {str(error).splitlines()[0]:.200}") from None

    def lines(self) -> Iterator[Any]:
        """The JSON value of each line that is not empty. Raises ImportRefused."""
        with self._open() as file:
            number = 0
            while line := file.readline(MAX_STRING + 1):
                number += 1
                if len(line) > MAX_STRING:
                    raise ImportRefused(f"line {number} of {self.name:.100} has more than {MAX_STRING >> 20} MB")
                self._advance(len(line))
                if not line.strip():
                    continue
                guard = _Guarded(None, self.name, 0, self._advance)
                guard.check(line)
                try:
                    yield json.loads(
                        line.decode("utf-8-sig"), parse_constant=_no_constant, object_pairs_hook=self._unique
                    )
                except (UnicodeDecodeError, ValueError, RecursionError) as error:
                    raise ImportRefused(f"line {number} of {self.name:.100} is no sound JSON: {error}") from None

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            raise self._twice(next(key for key, count in counts.items() if count > 1))
        return values

    def _twice(self, key: str) -> ImportRefused:
        return ImportRefused(f"{self.name:.100} has {key!r:.60} twice in one place, of which only one can be right")

    def unnoticed(self) -> Source:
        """The same, without a word on what is read."""
        return Source(self.name, self._open, lambda size: None)

    def beginning(self, size: int = 4) -> bytes:
        """The first bytes."""
        with self._open() as file:
            return file.read(size)


class _Guarded:
    """A file for ijson that raises ImportRefused before a string, a depth or a conversation becomes too large."""

    def __init__(self, file: IO[bytes] | None, name: str, depth: int, advance: Callable[[int], None]) -> None:
        self._file = file
        self._name = name
        self._base = depth
        self._advance = advance
        self._started = False
        self._in_string = False
        self._escaped = b""
        self._string = 0
        self._depth = 0
        self._weight = 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")()

    def read(self, size: int = -1) -> bytes:
        if self._file is None or size == 0:
            return b""
        data = self._file.read(PIECE)
        self._advance(len(data))
        if not self._started:
            self._started = True
            data = data.removeprefix(codecs.BOM_UTF8)
        self.check(data)
        return data

    def check(self, data: bytes) -> None:
        try:
            self._utf8.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise ImportRefused(f"{self._name:.100} is not valid UTF-8 ({error.reason})") from None
        # Without escaped characters, every quotation mark is the beginning or the end of a string.
        text = (self._escaped + data).replace(b"\\\\", b"")
        self._escaped = b"\\" if text.endswith(b"\\") else b""
        parts = text.removesuffix(self._escaped).replace(b'\\"', b"").split(b'"')
        self._string = self._string + len(data) if len(parts) == 1 else len(parts[-1])
        if self._string > MAX_STRING:
            raise ImportRefused(f"{self._name:.100} has a text of more than {MAX_STRING >> 20} MB")
        outside = b"".join(parts[self._in_string :: 2])
        if len(parts) % 2 == 0:
            self._in_string = not self._in_string
        lowest = self._depth
        for bracket in outside.translate(None, NO_BRACKETS):
            if bracket in b"[{":
                self._depth += 1
                if self._depth > MAX_DEPTH:
                    raise ImportRefused(f"{self._name:.100} is nested more than {MAX_DEPTH} levels deep")
            else:
                self._depth -= 1
                lowest = min(lowest, self._depth)
        self._weight += len(data) + VALUE_WEIGHT * (outside.count(b",") + outside.count(b"[") + outside.count(b"{"))
        if lowest <= self._base:
            self._weight = 0
        if self._weight > MAX_WEIGHT:
            raise ImportRefused(f"{self._name:.100} has a conversation that needs more than {MAX_WEIGHT >> 20} MB")


def _noting(twice: list[str]) -> type[dict[str, Any]]:
    """A class of JSON objects that adds a key which comes twice to the list; ijson loses what is raised in it."""

    class Object(dict[str, Any]):
        __slots__ = ()

        def __setitem__(self, key: str, value: Any) -> None:
            if key in self:
                twice.append(key)
            super().__setitem__(key, value)

    return Object


def _with_floats(value: Any) -> Any:
    """A JSON value with floats in place of decimals, which are replaced where they stand."""
    if isinstance(value, Decimal):
        return float(value)
    containers = [value] if isinstance(value, dict | list) else []
    while containers:
        container = containers.pop()
        # Not by the container's own method, which would note the key as one that comes twice.
        put: Any = dict.__setitem__ if isinstance(container, dict) else list.__setitem__
        for key, each in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(each, Decimal):
                put(container, key, float(each))
            elif isinstance(each, dict | list):
                containers.append(each)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
