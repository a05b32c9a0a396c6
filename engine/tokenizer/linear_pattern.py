"""Which patterns of a stranger's tokenizer.json match in time that grows with the text, and no faster.

The `tokenizers` library searches with Oniguruma, which backtracks: `(a|aa)+b` ends in a panic, `a+b` or `\\s+$` take
hours over a megabyte of one character. Nothing can interrupt it, so such patterns are refused before it sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_CHARACTERS = 4096
# Ways to match the bounded beginning of an alternative that may all be tried at one place.
MAX_WAYS = 64

_PART = re.compile(
    r"""(?P<atom> \\[pP]\{\^?\w+\} | \\[^\W\dpPxuoXkKgGzZAbBcCM] | \\[^\w\s] | \[(?:[^][\\&]|&(?!&)|\\.)+\]
        | (?P<group>\(\?i?:[^()\\*+{}]*\)) | [^\\\[\](){}|?*+.^$] )
        (?: (?P<repeat>[?*+])\+? | \{(?P<least>\d{1,3})(?P<range>,(?P<most>\d{1,3})?)?\} )?""",
    re.VERBOSE | re.DOTALL,
)
# Takes all of a run of white space but one character, or fails at a run of one.
_MARGIN = r"\s+(?!\S)"
# Go back over a run of white space and may fail; then _MARGIN must take the run.
_LINE_ENDS = {r"\s*[\r\n]+", r"\s*[\r\n]", "\\s*[\r\n]+", "\\s*[\r\n]"}
_CASED = re.compile(
    r"\[\^\\r\\n\\p\{L\}\\p\{N\}\]\?"
    r"\[\\p\{Lu\}\\p\{Lt\}\\p\{Lm\}\\p\{Lo\}\\p\{M\}\](?P<upper>[*+])"
    r"\[\\p\{Ll\}\\p\{Lm\}\\p\{Lo\}\\p\{M\}\](?P<lower>[*+])(?:\(\?i:[^()\\*+{}\[\]]*\)\?)?"
)


def is_linear(pattern: str) -> bool:
    """Whether searching a text for all matches provably takes time in proportion to its length.

    True if each alternative is a bounded beginning, then at most one repeat without bound, then only what may match
    nothing: it never goes back over what the repeat took, so no character is looked at again. Also for the
    alternatives of GPT-2's and GPT-4o's patterns that do go back, where they or the next one take the whole run.
    """
    if not pattern or len(pattern) > MAX_CHARACTERS:
        return False
    alternatives = list(_alternatives(pattern))
    following = [*alternatives[1:], ""]
    return all(
        alternative == _MARGIN
        or (alternative in _LINE_ENDS and after == _MARGIN)
        or (_is_cased(alternative, "*+") and _is_cased(after, "+*"))
        or _never_goes_back(alternative)
        for alternative, after in zip(alternatives, following, strict=True)
    )


def _is_cased(alternative: str, repeats: str) -> bool:
    found = _CASED.fullmatch(alternative)
    return found is not None and found["upper"] + found["lower"] == repeats


def _alternatives(pattern: str) -> Iterator[str]:
    """The pattern cut at every `|` that is in no group and no class."""
    depth, in_class, start, place = 0, False, 0, 0
    while place < len(pattern):
        character = pattern[place]
        if character == "\\":
            place += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            yield pattern[start:place]
            start = place + 1
        place += 1
    yield pattern[start:]


def _never_goes_back(alternative: str) -> bool:
    place, ways, unbounded = 0, 1, False
    while place < len(alternative):
        part = _PART.match(alternative, place)
        if part is None:
            return False
        place = part.end()
        least, most = _bounds(part)
        if unbounded and least:
            return False
        if most is None:
            # A group in a repeat could match the same text in several ways.
            if part["group"]:
                return False
            unbounded = True
        else:
            if most < least or most > MAX_WAYS:
                return False
            ways *= most - least + 1
        if part["group"]:
            ways *= part["group"].count("|") + 1
            if most != 1:
                return False
        if ways > MAX_WAYS:
            return False
    return True


def _bounds(part: re.Match[str]) -> tuple[int, int | None]:
    if part["least"] is not None:
        least = int(part["least"])
        if part["range"] is None:
            return least, least
        return least, int(part["most"]) if part["most"] else None
    return {None: (1, 1), "?": (0, 1), "*": (0, None), "+": (1, None)}[part["repeat"]]
