"""A JSON array written element by element."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any


def array(elements: Iterable[Any]) -> Iterator[str]:
    """The text of an array, an element a line."""
    separator = "[\n"
    for element in elements:
        yield separator + json.dumps(element, ensure_ascii=False)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"
