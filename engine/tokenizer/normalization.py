"""Unicode's NFC in linear time."""

from __future__ import annotations

import unicodedata
from itertools import groupby

import regex

_LONG_MARKS = regex.compile(r"[^\p{ccc=0}]{32,}")


def nfc(text: str) -> str:
    """The text in NFC; CPython alone needs quadratic time to order a long run of combining marks."""
    return unicodedata.normalize("NFC", _LONG_MARKS.sub(lambda run: _in_order(run.group()), text))


def _in_order(marks: str) -> str:
    runs = groupby(marks, key=lambda mark: unicodedata.combining(mark) > 0)
    return "".join("".join(sorted(run, key=unicodedata.combining) if above else run) for above, run in runs)
