"""The files of a zip, read where they are: nothing is extracted."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from app.transfer.source import ImportRefused

MAX_MEMBERS = 10_000
MAX_DIRECTORY_BYTES = 8 << 20
MAX_MEMBER_BYTES = 2 << 30
# Text shrinks to a tenth; small files of the same letter may shrink more and harm nobody.
MAX_RATIO, RATIO_FROM_BYTES = 100, 1 << 20
END, END_BYTES, LOCATOR = b"PK\x05\x06", 22, b"PK\x06\x07"


def open_zip(path: Path, called: str) -> zipfile.ZipFile:
    """The zip, once its directory is known to be small and its names harmless.

    called: its name, for people. Raises ImportRefused.
    """
    _check_directory(path, called)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeError) as error:
        raise ImportRefused(f"{called:.100} is a damaged zip ({error!s:.100})") from None
    for member in archive.infolist():
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in member.filename.split("/")[0] or "\0" in member.filename:
            archive.close()
            raise ImportRefused(f"{called:.100} has a file that points outside of it ({member.filename!r:.100})")
    return archive


def check_members(called: str, members: list[zipfile.ZipInfo]) -> None:
    """Raise ImportRefused if reading these would be more than it looks."""
    size = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if size > MAX_MEMBER_BYTES or (size > RATIO_FROM_BYTES and size > MAX_RATIO * packed):
        raise ImportRefused(f"{called:.100} unpacks {packed:,} bytes to {size:,}: such a zip does harm, none is read")
    if any(member.flag_bits & 1 for member in members):
        raise ImportRefused(f"{called:.100} is encrypted: unpack it, then import the files of it")


def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """A file of the zip. Raises ImportRefused if it cannot be unpacked."""
    try:
        return archive.open(member)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise ImportRefused(f"{member.filename!r:.100} cannot be unpacked ({error!s:.100})") from None


def _check_directory(path: Path, called: str) -> None:
    """zipfile reads all of the directory at once, so its size is looked at before."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - END_BYTES - 65_535 - 20))
        tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) < at + END_BYTES:
        raise ImportRefused(f"{called:.100} is a damaged zip (its end is missing)")
    members = int.from_bytes(tail[at + 10 : at + 12], "little")
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    if members > MAX_MEMBERS or directory > MAX_DIRECTORY_BYTES or tail[max(0, at - 20) : at].startswith(LOCATOR):
        raise ImportRefused(f"{called:.100} has more than {MAX_MEMBERS:,} files: unpack it, then import those of chats")
