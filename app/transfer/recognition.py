"""Which format a file has, told by its content; its name and extension count for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from app.transfer.chat import Chat, Skipped
from app.transfer.formats import READERS, Reader
from app.transfer.source import ImportRefused, Source

LOOKED_AT = 20
# Where conversations are in a file, in ijson's words, and how many brackets are open there; None: one a line.
ARRAY, MEMBER, WHOLE = ("item", 1), ("conversations.item", 2), ("", 0)


def recognise(source: Source) -> tuple[Reader, Iterator[Chat | Skipped]]:
    """The format of a file, and its conversations. Raises ImportRefused for one that is nothing of what is known."""
    start = source.beginning(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    places = {b"[": (ARRAY,), b"{": (None, MEMBER, WHOLE)}.get(start, ())
    refused: ImportRefused | None = None
    for place in places:
        try:
            values = list(islice(_values(source.unnoticed(), place), LOOKED_AT if place else 1))
        except ImportRefused as error:
            # One object over many lines has no sound first line; nothing that is unsound has a format.
            refused = None if place is None else error
            continue
        # A conversation on a line of its own is as good as one in an array.
        readers = [reader for reader in READERS if place is None or not reader.lines]
        for reader in readers:
            if any(isinstance(each, dict) and reader.recognises(each) for each in values):
                return reader, reader.read(_values(source, place), source)
    if refused:
        raise refused
    known = ", ".join(dict.fromkeys(reader.label for reader in READERS))
    raise ImportRefused(f"{source.name:.100} is no export that is known: Fireside reads those of {known}")


def _values(source: Source, place: tuple[str, int] | None) -> Iterator[Any]:
    return source.lines() if place is None else source.elements(*place)
