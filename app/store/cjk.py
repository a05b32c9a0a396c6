"""Text of scripts that are written without spaces, cut into overlapping pairs of characters for the search index.

FTS5's tokenizer takes a run of such characters as one word, so that nothing inside it is found. As pairs ("今天天气"
becomes "今天 天天 天气 气"), any part of two characters and more is a phrase of the index, and one character is the
beginning of a pair: hence the last one alone at the end.
"""

from __future__ import annotations

import re

# Han with its marks of repetition, kana, bopomofo and Hangul. Planes beyond the second are left out: SQLite's
# tokenizer does not know their characters as letters.
_CJK = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f\U00020000-\U0002fa1f"
)
_RUN = re.compile(f"[{_CJK}]+")
# Letters and digits in a row. One such as "GPU上" or "第3章" is a single word for FTS5, so its parts are indexed apart.
_WORD = re.compile(r"[^\W_]+")
_PARTS = re.compile(f"[{_CJK}]+|[^{_CJK}]+")


def has_cjk(text: str) -> bool:
    """Whether any of it is of such a script."""
    return _RUN.search(text) is not None


def parts(word: str) -> list[str]:
    """A word cut where such a script begins or ends."""
    return _PARTS.findall(word)


def pairs(run: str) -> list[str]:
    """The overlapping pairs of a run, without the last character alone; the character itself if it is but one."""
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


def indexed(text: str) -> str | None:
    """What the search index holds of a text beside its words; None if nothing in it is of such a script."""
    if not has_cjk(text):
        return None
    words: list[str] = []
    for word in filter(has_cjk, _WORD.findall(text)):
        for part in parts(word):
            words += [*pairs(part), part[-1]] if has_cjk(part) else [part]
    return " ".join(words)
