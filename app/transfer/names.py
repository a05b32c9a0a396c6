"""File names made of titles."""

from __future__ import annotations

import re
import unicodedata

MAX_BYTES = 100
# Device names of Windows, which are no files there whatever their extension.
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def file_name(title: str, extension: str, *, fallback: str = "chat") -> str:
    """A name that is one plain file on any system: no path, no hidden file, no device, at most 100 bytes and
    the extension.

    Signs that some system or shell takes amiss become spaces; letters of any script stay.
    """
    kept = "".join(
        character if unicodedata.category(character)[0] in "LMN" or character in "-_.,'()" else " "
        for character in unicodedata.normalize("NFC", title)
    )
    name = " ".join(kept.split()).encode("utf-8", "ignore")[:MAX_BYTES].decode("utf-8", "ignore").strip(" .-")
    if not name or RESERVED.match(name):
        name = f"{fallback} {name}".strip()
    return f"{name}.{extension}"
