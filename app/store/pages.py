"""The pages of an SQLite file read without SQLite, for files that it refuses (sqlite.org/fileformat2.html).

Nothing here trusts a byte: whatever does not fit is left out, every chain of pages is bounded by their number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

from app.store.wal import PAGE_SIZES, Log, read_log, read_whole_frames

Value = None | int | float | str | bytes

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
TABLE_INTERIOR, TABLE_LEAF = 0x05, 0x0D
DEFAULT_PAGE_SIZE = 4096
MAX_PAYLOAD = 1 << 30
MAX_COLUMNS = 2000


class Row(NamedTuple):
    """A record as it is stored. page: where it begins; the integer primary key is None among the values."""

    page: int
    rowid: int
    values: tuple[Value, ...]


class Pages:
    """The pages of a database file as the committed frames of its write-ahead log leave them; read-only.

    wal: the log; None to leave it aside. all_frames: take from a damaged log whatever is whole. cut: whether pages at
    the end are missing, which SQLite takes for zeros where there is a log. log_damaged: see `app.store.wal.Log`. Use
    it in a `with` block. Raises OSError if the file cannot be read.
    """

    def __init__(self, path: Path, wal: Path | None = None, *, all_frames: bool = False) -> None:
        with ExitStack() as opened:
            self._file = opened.enter_context(path.open("rb"))
            size = _page_size(self._file.read(HEADER_BYTES))
            length = self._file.seek(0, 2)
            self._frames: dict[int, int] = {}
            self._wal = None
            log = Log()
            if wal:
                log = read_whole_frames(wal, size) if all_frames else read_log(wal)
            self.log_damaged = log.damaged
            if wal and log.page_size:
                self._wal = opened.enter_context(wal.open("rb"))
                size, self._frames = log.page_size, log.offsets
            self.size = size
            self.count = max([-(-length // size), *self._frames])
            # Bytes that an extension may reserve at the end of each page: none, unless page 1 says so and is sound.
            first = self[1]
            self._usable = size - first[20] if first.startswith(MAGIC) and size - first[20] >= 480 else size
            self._free = self._freelist() if first.startswith(MAGIC) else set()
            pages = int.from_bytes(first[28:32], "big") if first.startswith(MAGIC) else 0
            wanted = range(length // size + 1, pages + 1)
            self.cut = any(number not in self._frames and number not in self._free for number in wanted)
            self._closing = opened.pop_all()

    def __getitem__(self, number: int) -> bytes:
        """A page by its number, from 1; zeros where the file is too short."""
        if (offset := self._frames.get(number)) is not None and self._wal:
            self._wal.seek(offset)
            page = self._wal.read(self.size)
        else:
            self._file.seek((number - 1) * self.size)
            page = self._file.read(self.size)
        return page.ljust(self.size, b"\0")

    def leaves(self, root: int) -> list[int]:
        """Numbers of the leaf pages of the table with this root page, in order, as far as they can be reached."""
        found, seen, waiting = [], set(), [root]
        while waiting:
            number = waiting.pop()
            if number in seen or not 1 <= number <= self.count:
                continue
            seen.add(number)
            page = self[number]
            start = HEADER_BYTES if number == 1 else 0
            if page[start] == TABLE_LEAF:
                found.append(number)
            elif page[start] == TABLE_INTERIOR:
                children = [
                    int.from_bytes(page[cell : cell + 4], "big") for cell in self._cells(page, start, header_bytes=12)
                ]
                waiting += [int.from_bytes(page[start + 8 : start + 12], "big"), *reversed(children)]
        return found

    def orphans(self, reached: set[int]) -> list[int]:
        """Numbers of the pages that look like a table's leaves, are neither among these nor on the freelist."""
        return [
            number
            for number in range(2, self.count + 1)
            if number not in reached and number not in self._free and self[number][0] == TABLE_LEAF
        ]

    def rows(self, number: int) -> Iterator[Row]:
        """The records of a leaf page that are whole."""
        page = self[number]
        start = HEADER_BYTES if number == 1 else 0
        for cell in self._cells(page, start, header_bytes=8):
            try:
                length, at = _varint(page, cell)
                rowid, at = _varint(page, at)
                values = _record(self._payload(page, at, length))
            except (IndexError, ValueError, struct.error):
                continue
            yield Row(number, rowid - (1 << 64) if rowid >= 1 << 63 else rowid, values)

    def close(self) -> None:
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _cells(self, page: bytes, start: int, *, header_bytes: int) -> list[int]:
        count = int.from_bytes(page[start + 3 : start + 5], "big")
        first = start + header_bytes
        offsets = struct.unpack_from(f">{min(count, (self.size - first) // 2)}H", page, first)
        return [offset for offset in offsets if first <= offset < self._usable]

    def _payload(self, page: bytes, at: int, length: int) -> bytes:
        if length > MAX_PAYLOAD:
            raise ValueError("payload too long")
        # How much of a long record its leaf page keeps: "B-tree Cell Format", section 1.6 of the file format.
        most, least = self._usable - 35, (self._usable - 12) * 32 // 255 - 23
        local = length
        if length > most:
            local = least + (length - least) % (self._usable - 4)
            local = local if local <= most else least
        if at + local > self._usable:
            raise ValueError("payload beyond the page")
        payload = bytearray(page[at : at + local])
        if length > local:
            following = int.from_bytes(page[at + local : at + local + 4], "big")
            limit = -(-(length - local) // (self._usable - 4))
            if limit > self.count:
                raise ValueError("chain of overflow pages longer than the file")
            for _ in range(limit):
                if not 1 < following <= self.count:
                    raise ValueError("chain of overflow pages is cut")
                overflow = self[following]
                following = int.from_bytes(overflow[:4], "big")
                payload += overflow[4 : self._usable]
            if following:
                raise ValueError("chain of overflow pages is too long")
        return bytes(payload[:length])

    def _freelist(self) -> set[int]:
        free: set[int] = set()
        trunk = int.from_bytes(self[1][32:36], "big")
        while 1 < trunk <= self.count and trunk not in free:
            free.add(trunk)
            page = self[trunk]
            trunk, count = struct.unpack_from(">II", page)
            free.update(struct.unpack_from(f">{min(count, self._usable // 4 - 2)}I", page, 8))
        return free


def _page_size(header: bytes) -> int:
    if not header.startswith(MAGIC):
        return DEFAULT_PAGE_SIZE
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    return size if size in PAGE_SIZES else DEFAULT_PAGE_SIZE


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer of one to nine bytes, and the position after it; IndexError at the end."""
    value = 0
    for position in range(at, at + 8):
        byte = data[position]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position + 1
    return value << 8 | data[at + 8], at + 9


def _record(payload: bytes) -> tuple[Value, ...]:
    """The values of a record; ValueError if its header and its length do not agree."""
    header_bytes, at = _varint(payload, 0)
    body = header_bytes
    if header_bytes > len(payload):
        raise ValueError("header beyond the record")
    values: list[Value] = []
    while at < header_bytes:
        kind, at = _varint(payload, at)
        value, body = _value(payload, body, kind)
        values.append(value)
        if len(values) > MAX_COLUMNS:
            raise ValueError("too many columns")
    if at != header_bytes or body != len(payload):
        raise ValueError("record of another length")
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    """A value of a serial type ("Record Format", section 2.1), and the position after it."""
    if kind in (0, 8, 9):
        return (None, 0, 1)[(0, 8, 9).index(kind)], at
    if kind in (10, 11):
        raise ValueError("reserved serial type")
    length = (kind - 12) // 2 if kind >= 12 else 8 if kind == 7 else (1, 2, 3, 4, 6, 8)[kind - 1]
    data = payload[at : at + length]
    if len(data) < length:
        raise ValueError("value beyond the record")
    if kind == 7:
        return struct.unpack(">d", data)[0], at + length
    if kind < 7:
        return int.from_bytes(data, "big", signed=True), at + length
    if kind % 2 == 0:
        return data, at + length
    return data.decode("utf-8"), at + length
