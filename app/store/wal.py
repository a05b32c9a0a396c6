"""An SQLite write-ahead log read without SQLite (sqlite.org/fileformat2.html, section 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
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
    without a header, which is flushed before them, is damage.
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
            return Log(damaged=bool(file.read(FRAME_HEADER_BYTES + 1)))
        committed: dict[int, int] = {}
        pending: dict[int, int] = {}
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
                if commit:
                    committed |= pending
                    pending.clear()
            else:
                changes_after += commit > 0
    return Log(size, committed)


def _checksum(data: bytes, start: tuple[int, int], order: str) -> tuple[int, int]:
    """The Fibonacci-weighted checksum of section 4.2."""
    first, second = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
