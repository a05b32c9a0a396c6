"""Tokens that stand beside a vocabulary: control tokens, and pieces of text that are never cut."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

# Unicode's White_Space, which is what `\s` means to the `tokenizers` library; `str.strip()` takes U+001C to U+001F too.
WHITE_SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# Authors often forget to mark them, DeepSeek's <｜User｜> for one; llama.cpp's converter has the same rule.
_LOOKS_LIKE_CONTROL = re.compile(r"<\|.*\|>|<｜.*｜>|<(start|end)_of_turn>|<unused\d+>|</?s>", re.DOTALL)
# Control tokens that end an answer, in families whose files name just one of them.
_ENDS = frozenset(
    {
        *("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>"),
        *("<end_of_turn>", "<|eot|>", "<|return|>", "<|call|>", "<｜end▁of▁sentence｜>"),
    }
)


@dataclass(frozen=True)
class AddedToken:
    """One added token, with the flags of the `tokenizers` library.

    special: a control token, which only a chat template may write. lstrip, rstrip: it swallows the white space to its
    left or right. single_word: it counts only where no word character is beside it. normalized: it is looked for
    after the text is normalised.
    """

    content: str
    id: int
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is its content and nothing else."""
        return not (self.lstrip or self.rstrip or self.single_word)

    def renamed(self, content: str) -> AddedToken:
        """The same token with another content."""
        return replace(self, content=content)


def looks_like_control(content: str) -> bool:
    """Whether a token is written as control tokens are, `<|user|>`: such a one is not taken from what is typed."""
    return _LOOKS_LIKE_CONTROL.fullmatch(content) is not None


def end_ids(tokens: Iterable[AddedToken]) -> set[int]:
    """The control tokens that are known to end an answer, whatever else the model's files name."""
    ends = {token.content: token.id for token in tokens if token.special and token.content in _ENDS}
    # To models that have both, it ends a part of an answer only.
    if "<|return|>" in ends:
        ends.pop("<|end|>", None)
    return set(ends.values())


class AddedTokenFinder:
    """Finds plain added tokens in ordinary text, from the left, the longest first, as the `tokenizers` library does.

    A control token that is typed stays text, and hides what it contains.
    """

    def __init__(self, tokens: Iterable[AddedToken]) -> None:
        self._ids = {token.content: None if token.special else token.id for token in tokens}
        alternatives = map(re.escape, sorted(self._ids, key=len, reverse=True))
        self._any = re.compile("|".join(alternatives)) if any(id is not None for id in self._ids.values()) else None

    def split(self, text: str) -> Iterator[str | int]:
        """The text cut at the tokens: each as its id, what is between as it is."""
        start = 0
        for match in self._any.finditer(text) if self._any else ():
            id = self._ids[match.group()]
            if id is None:
                continue
            if start < match.start():
                yield text[start : match.start()]
            yield id
            start = match.end()
        if start < len(text):
            yield text[start:]
