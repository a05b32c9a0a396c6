"""Strings that know which of their characters the chat template itself wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import SupportsIndex


class Authored(str):
    """A string in part or in whole the template's own; a plain `str` is wholly someone else's.

    own: a byte for each character, 1 where the template wrote it. It equals, compares and searches as any string
    of its characters does. What is cut from it or joined to it keeps the knowledge; an operation that is not
    written down here makes a plain string, so that knowledge can be lost but never be wrong.
    """

    __slots__ = ("own",)
    own: bytes

    def __new__(cls, text: str, own: bytes | None = None) -> Authored:
        string = super().__new__(cls, text)
        string.own = bytes(len(text)) if own is None else own
        return string

    @classmethod
    def whole(cls, text: str) -> Authored:
        """A string that is the template's own from end to end."""
        return cls(text, b"\1" * len(text))

    def __str__(self) -> str:
        return self

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, key: SupportsIndex | slice) -> Authored:
        own = self.own[key] if isinstance(key, slice) else bytes([self.own[key]])
        return Authored(super().__getitem__(key), own)

    def __add__(self, other: str) -> str:
        return (
            Authored(str.__add__(self, other), self.own + own_of(other)) if isinstance(other, str) else NotImplemented
        )

    def __radd__(self, other: str) -> str:
        return (
            Authored(str.__add__(other, self), own_of(other) + self.own) if isinstance(other, str) else NotImplemented
        )

    def __mul__(self, times: SupportsIndex) -> str:
        return Authored(str.__mul__(self, times), self.own * times)

    def __rmul__(self, times: SupportsIndex) -> str:
        return self * times

    def lstrip(self, chars: str | None = None, /) -> Authored:
        return self[len(self) - len(str.lstrip(self, chars)) :]

    def rstrip(self, chars: str | None = None, /) -> Authored:
        return self[: len(str.rstrip(self, chars))]

    def strip(self, chars: str | None = None, /) -> Authored:
        return self.lstrip(chars).rstrip(chars)

    def removeprefix(self, prefix: str, /) -> Authored:
        return self[len(prefix) :] if self.startswith(prefix) else self

    def removesuffix(self, suffix: str, /) -> Authored:
        return self[: len(self) - len(suffix)] if self.endswith(suffix) else self

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:  # type: ignore[override]
        return self._found(str.split(self, sep, maxsplit), sep)

    def rsplit(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:  # type: ignore[override]
        return self._found(str.rsplit(self, sep, maxsplit), sep)

    def splitlines(self, keepends: bool = False) -> list[str]:  # type: ignore[override]
        return self._found(str.splitlines(self, keepends))

    def partition(self, sep: str, /) -> tuple[str, str, str]:
        before, found, after = str.partition(self, sep)
        return self[: len(before)], self[len(before) : len(before) + len(found)], self[len(self) - len(after) :]

    def rpartition(self, sep: str, /) -> tuple[str, str, str]:
        before, found, after = str.rpartition(self, sep)
        return self[: len(before)], self[len(before) : len(before) + len(found)], self[len(self) - len(after) :]

    def lower(self) -> str:
        return self._mapped(str.lower)

    def upper(self) -> str:
        return self._mapped(str.upper)

    def capitalize(self) -> str:
        return self._mapped(str.capitalize)

    def title(self) -> str:
        return self._mapped(str.title)

    def _mapped(self, change: Callable[[str], str]) -> str:
        changed = change(self)
        # Some characters become two or three; then it is no longer known which came from where.
        return Authored(changed, self.own) if len(changed) == len(self) else changed

    def _found(self, parts: list[str], separator: str | None = None) -> list[str]:
        """These parts of the string where they lie in it, one after the other, white space or `separator` between."""
        found: list[str] = []
        start = 0
        for part in parts:
            if separator is None:
                start = self.index(part, start)
            found.append(self[start : start + len(part)])
            start += len(part) + len(separator or "")
        return found


def own_of(text: str) -> bytes:
    """A byte for each character, 1 where the template wrote it."""
    return text.own if isinstance(text, Authored) else bytes(len(text))


def join(separator: str, parts: Iterable[str]) -> str:
    """As `separator.join(parts)`, with what is known of all of them."""
    parts = list(parts)
    text = separator.join(parts)
    if not any(isinstance(part, Authored) for part in (separator, *parts)):
        return text
    return Authored(text, own_of(separator).join(map(own_of, parts)))


def replace(text: str, old: str, new: str, count: int = -1) -> str:
    """As `text.replace(old, new, count)`, with what is known of all of them."""
    if not old or not (isinstance(text, Authored) or isinstance(new, Authored)):
        return str.replace(text, old, new, count)
    return join(new, text.split(old, count))
