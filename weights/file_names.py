"""Names of files that come from elsewhere and become paths here."""

from __future__ import annotations

import re

from weights.errors import UnsafeName

MAX_NAME = 200
MAX_DEPTH = 4
# Names that Windows keeps for devices, with any extension.
RESERVED = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM[0-9¹²³]|LPT[0-9¹²³])(?:\..*)?", re.IGNORECASE)
# Separators and wildcards of some file system, and everything that is not seen when the name is shown.
FORBIDDEN = re.compile(r'[\\:*?"<>|\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]')


def check_file_name(name: str, source: str) -> None:
    """Raise UnsafeName unless `name`, with "/" between folders, is safe to create below a folder on every system.

    source: who said it, for the message.
    """
    parts = name.split("/")
    if (
        len(name) > MAX_NAME
        or len(parts) > MAX_DEPTH
        or FORBIDDEN.search(name)
        or any(not part or part in (".", "..") or part[-1] in ". " or RESERVED.fullmatch(part) for part in parts)
    ):
        raise UnsafeName(f"{source} has {name!r:.120}, which is not safe as the name of a file: nothing was fetched")
