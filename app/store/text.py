"""Values on their way into SQLite: any Python string, and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def storable(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD and surrogate pairs joined; anything else is
    unchanged.

    SQLite stores UTF-8, which has no surrogates; browsers and JSON clients can send them. NUL is kept.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def to_json(value: Mapping[str, Any] | None) -> str | None:
    """Compact JSON text, None for None; ValueError for NaN and infinity, which JSON does not have."""
    return None if value is None else storable(json.dumps(dict(value), ensure_ascii=False, allow_nan=False))


def from_json(text: str | None) -> dict[str, Any]:
    """The object in a JSON column; empty for NULL and for what another tool left there that is no object."""
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def now() -> str:
    """The present time as the store writes it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
