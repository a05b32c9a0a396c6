"""Whether a file is exactly the one the catalog means."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from weights.catalog import CatalogEntry, WheelMember
from weights.errors import DigestMismatch


def find(entry: CatalogEntry, folder: Path) -> Path | None:
    """The model's verified file in the models folder, or None where there is none.

    The size is compared every time. The SHA-256 is computed when a file is first seen, and remembered beside
    with size and modification time, so that a later start need not read the file.
    Raises DigestMismatch for a file that is not the catalog's.
    """
    path = entry.path_in(folder)
    try:
        stat = path.stat()
    except OSError:
        return None
    check(f"the file {path}", stat.st_size, None, entry)
    seen = {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": entry.sha256}
    if _remembered(path) != seen:
        check(f"the file {path}", stat.st_size, digest(path), entry)
        # A models folder shared read-only is fine: it is then verified at each start.
        with contextlib.suppress(OSError):
            _note(path).write_text(json.dumps(seen) + "\n", encoding="utf-8")
    return path


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(what: str, size: int, sha256: str | None, expected: CatalogEntry | WheelMember) -> None:
    """Raise DigestMismatch about `what` unless size and SHA-256 (where known) are as expected."""
    if size != expected.bytes:
        difference = f"has {size:,} bytes instead of {expected.bytes:,}"
    elif sha256 not in (None, expected.sha256):
        difference = f"has the SHA-256 {sha256:.12}… instead of {expected.sha256:.12}…"
    else:
        return
    raise DigestMismatch(f"{what} {difference}: it is damaged or another file, so it is not used; fetch it again")


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".verified.json")


def _remembered(path: Path) -> object:
    try:
        return json.loads(_note(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
