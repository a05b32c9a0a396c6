"""Reads JSON that others wrote, trusting nothing in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NoReturn

from engine.errors import ModelFormatError

MAX_DEPTH = 64
# Half of a surrogate pair, escaped; the other half may be missing.
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(path: Path, max_bytes: int) -> dict[str, Any]:
    """The object in a JSON file of at most `max_bytes` bytes.

    Raises ModelFormatError if the file cannot be read, is longer, or is not what `parse_json` takes.
    """
    try:
        if not path.is_file():
            raise ModelFormatError(f"{path.name} is missing or no file: fetch the model again")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ModelFormatError(f"{path.name} cannot be read: {error.strerror or error}") from error
    if len(data) > max_bytes:
        raise ModelFormatError(f"{path.name} has more than {max_bytes:,} bytes: fetch the model again")
    return parse_json(data, path.name)


def parse_json(data: bytes, name: str) -> dict[str, Any]:
    """The object that `data` is, in UTF-8. name: of the file, for the error.

    Raises ModelFormatError if it is not JSON as RFC 8259 has it, is no object, names a key twice, nests more than 64
    levels, or holds NaN, an infinity or half of a surrogate pair, none of which other readers would agree about.
    """

    def refuse(why: str) -> NoReturn:
        raise ModelFormatError(f"{name} is damaged: {why}; fetch the model again")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            key = next(key for key, _ in pairs if key in seen or seen.add(key))
            refuse(f"the key {key!r:.80} occurs twice")
        return found

    def constant(word: str) -> NoReturn:
        refuse(f"{word} is not a number in JSON")

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)
    except UnicodeDecodeError:
        refuse("it is not UTF-8")
    except RecursionError:
        refuse(f"it nests more than {MAX_DEPTH} levels")
    except json.JSONDecodeError as error:
        refuse(f"it is not JSON ({error.msg} at line {error.lineno}, column {error.colno})")
    except ValueError:  # an integer of thousands of digits
        refuse("it holds a number that is too long")
    if not isinstance(value, dict):
        refuse(f"it holds a {type(value).__name__} instead of an object")
    if _depth_exceeds(value, MAX_DEPTH):
        refuse(f"it nests more than {MAX_DEPTH} levels")
    if SURROGATE.search(data) and not _encodable(value):
        refuse("it holds half of a surrogate pair, which is no text")
    return value


def _depth_exceeds(value: Any, limit: int) -> bool:
    level: list[Any] = [value]
    for _ in range(limit):
        inner = (part.values() if isinstance(part, dict) else part for part in level)
        level = [part for parts in inner for part in parts if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def _encodable(value: dict[str, Any]) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
