"""An SQLite write-ahead log read without SQLite (sqlite.org/fileformat2.html, section 4)."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
INDEX_VERSION = 3007000
# The last bit says whether the checksums take the words as big-endian.
MAGICS = (0x377F0682, 0x377F0683)
PAGE_SIZES = frozenset(1 << power for power in range(9, 17))


@dataclass(frozen=True, slots=True)
class Log:
    """What SQLite would take from a log.

    page_size: 0 if it would take nothing. offsets: where in the file the newest committed image of each page is.
    damaged: changes that were acknowledged are in the file and cannot be read any more. SQLite ends at the first
    frame that is not valid and says nothing. One unfinished change there is what a kill or a power failure leaves,
    and was never acknowledged, because each is flushed before the next; but anything after its end, or frames
    without a header, which is flushed before them, is damage. So is a log that has fewer frames than its index, which
    is written after them.
    """

    page_size: int = 0
    offsets: dict[int, int] = field(default_factory=dict)
    damaged: bool = False


def read_log(path: Path) -> Log:
    """Read the log at `path`; an empty one if there is no file. Raises OSError."""
    if not path.exists():
        return Log()
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES).ljust(HEADER_BYTES, b"\0")
        magic, _, size, _, *salts, first, second = struct.unpack(">8I", header)
        order = ">" if magic & 1 else "<"
        checksum = _checksum(header[:24], (0, 0), order)
        if magic not in MAGICS or size not in PAGE_SIZES or checksum != (first, second):
            return Log(damaged=bool(file.read(FRAME_HEADER_BYTES + 1)) or _indexed_frames(path, None) > 0)
        indexed = _indexed_frames(path, header[16:24])
        committed: dict[int, int] = {}
        pending: dict[int, int] = {}
        frames = at = 0
        valid, changes_after = True, 0
        while len(frame := file.read(FRAME_HEADER_BYTES + size)) >= FRAME_HEADER_BYTES:
            number, commit, *frame_salts, first, second = struct.unpack_from(">6I", frame)
            # Frames of an earlier round of the log, which are in the database already, have other salts.
            if frame_salts != salts:
                break
            if changes_after:
                return Log(size, committed, damaged=True)
            if valid and len(frame) == FRAME_HEADER_BYTES + size:
                checksum = _checksum(frame[FRAME_HEADER_BYTES:], _checksum(frame[:8], checksum, order), order)
                valid = number > 0 and checksum == (first, second)
            else:
                valid = False
            if valid:
                pending[number] = file.tell() - size
                at += 1
                if commit:
                    frames = at
                    committed |= pending
                    pending.clear()
            else:
                changes_after += commit > 0
    return Log(size, committed, damaged=frames < indexed)


def read_whole_frames(path: Path, page_size: int) -> Log:
    """Read what SQLite does not of a damaged log: every frame that is whole, whatever is lost before it.

    A frame's checksum continues the one in the header of the frame before, so two neighbours suffice to know that the
    second is whole. Frames of earlier rounds and those after the last commit are left out. Raises OSError.
    """
    with path.open("rb") as file:
        file.seek(HEADER_BYTES)
        frames: dict[int, int] = {}
        pending: dict[int, int] = {}
        before, round_ = None, b""
        while len(frame := file.read(FRAME_HEADER_BYTES + page_size)) == FRAME_HEADER_BYTES + page_size:
            number, commit, _, _, *checksum = struct.unpack_from(">6I", frame)
            salts = frame[8:16]
            data = frame[FRAME_HEADER_BYTES:]
            whole = before is not None and any(
                _checksum(data, _checksum(frame[:8], before, order), order) == tuple(checksum) for order in "<>"
            )
            before = (checksum[0], checksum[1])
            if not whole or salts != (round_ := round_ or salts):
                continue
            pending[number] = file.tell() - page_size
            if commit:
                frames |= pending
                pending.clear()
    return Log(page_size, frames, damaged=True)


def _indexed_frames(log: Path, salts: bytes | None) -> int:
    """How many committed frames the log's index (-shm) knows that are not all in the database yet.

    salts: of the log's header, None if it has none. 0 if there is no index, or if it is another round's: after a power
    failure it can be older than the log. "WAL-Index Format", sections 2.1 and 2.2 of sqlite.org/walformat.html.
    """
    try:
        with log.with_name(log.name.removesuffix("-wal") + "-shm").open("rb") as file:
            data = file.read(100)
    except OSError:
        return 0
    header = data[:48]
    if len(data) < 100 or data[48:96] != header:
        return 0
    version, _, _, _, frames = struct.unpack_from("=5I", header)
    order = "<" if sys.byteorder == "little" else ">"
    if version != INDEX_VERSION or _checksum(header[:40], (0, 0), order) != struct.unpack("=II", header[40:48]):
        return 0
    if salts is not None and header[32:40] != salts:
        return 0
    backfilled = struct.unpack_from("=I", data, 96)[0]
    return frames if backfilled < frames else 0


def _checksum(data: bytes, start: tuple[int, int], order: str) -> tuple[int, int]:
    """The Fibonacci-weighted checksum of section 4.2."""
    first, second = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
