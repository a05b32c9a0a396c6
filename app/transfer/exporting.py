"""Exporting conversations as a file, or as a zip with a file for each."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.store import Store
from app.transfer.chat import collect
from app.transfer.formats import Format
from app.transfer.names import file_name

PIECE = 1 << 16
# A zip up to this size is made in memory, a larger one in a file without a name.
IN_MEMORY = 8 << 20


@dataclass(frozen=True, slots=True)
class Export:
    """A file to be written or sent: pieces are its bytes, made as they are asked for."""

    name: str
    media_type: str
    pieces: Iterator[bytes]


def export(
    store: Store, ids: Sequence[str], kind: Format, *, all_branches: bool = False, zipped: bool = False
) -> Export:
    """The conversations with these ids in a format; several of one that has one a file come in a zip.

    Raises NotFound for an id that is not there.
    """
    titles = [store.conversations.get(id).title for id in ids]
    if zipped or (kind.single and len(ids) != 1):
        return Export("fireside-chats.zip", "application/zip", _zip(store, ids, titles, kind, all_branches))
    name = file_name(titles[0] if len(ids) == 1 else "fireside-chats", kind.extension)
    return Export(name, kind.media_type, (text.encode() for text in kind.write(collect(store, ids), all_branches)))


def _zip(store: Store, ids: Sequence[str], titles: Sequence[str], kind: Format, all_branches: bool) -> Iterator[bytes]:
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            names: set[str] = set()
            for id, title in zip(ids, titles, strict=True):
                with archive.open(_unused(title, kind.extension, names), "w") as member:
                    for text in kind.write(collect(store, [id]), all_branches):
                        member.write(text.encode())
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


def _unused(title: str, extension: str, names: set[str]) -> str:
    """A file name for the title that is not among `names`, on systems too that take upper and lower case for one."""
    number, name = 1, file_name(title, extension)
    while name.casefold() in names:
        number += 1
        name = f"{file_name(title, extension).removesuffix(f'.{extension}')} ({number}).{extension}"
    names.add(name.casefold())
    return name
