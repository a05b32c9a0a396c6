"""Strings that know what of them the template wrote: they behave as strings, and never claim too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.template.authored import Authored, join, own_of, replace

# The template writes lower case, contents upper case: what a character is tells who wrote it.
texts = st.text("abAB ,\n", max_size=12)


def authored(text: str) -> Authored:
    return Authored(text, bytes(not letter.isupper() for letter in text))


def assert_honest(ours: Any, plain: Any) -> None:
    """The same string, and nothing of another's writing taken for the template's own."""
    if isinstance(plain, (list, tuple)):
        assert len(ours) == len(plain)
        for one, other in zip(ours, plain, strict=True):
            assert_honest(one, other)
        return
    assert str.__eq__(ours, plain)
    assert not [letter for letter, own in zip(plain, own_of(ours), strict=True) if own and letter.isupper()]


OPERATIONS: dict[str, Callable[[Any, str], Any]] = {
    "strip": lambda text, other: text.strip(),
    "strip these": lambda text, other: text.strip(other),
    "lstrip": lambda text, other: text.lstrip(other),
    "rstrip": lambda text, other: text.rstrip(other),
    "split": lambda text, other: text.split(),
    "split at": lambda text, other: text.split(other or ","),
    "split once": lambda text, other: text.split(other or ",", 1),
    "rsplit": lambda text, other: text.rsplit(None, 1),
    "rsplit at": lambda text, other: text.rsplit(other or ",", 2),
    "splitlines": lambda text, other: text.splitlines(),
    "keep ends": lambda text, other: text.splitlines(True),
    "partition": lambda text, other: text.partition(other or ","),
    "rpartition": lambda text, other: text.rpartition(other or ","),
    "removeprefix": lambda text, other: text.removeprefix(other),
    "removesuffix": lambda text, other: text.removesuffix(other),
    "slice": lambda text, other: text[len(other) : -1],
    "reverse": lambda text, other: text[::-1],
    "characters": lambda text, other: list(text),
    "twice": lambda text, other: text * 2,
    "twice, from the left": lambda text, other: 2 * text,
    "add": lambda text, other: text + other,
    "add, from the left": lambda text, other: other + text,
    "add own": lambda text, other: text + Authored.whole("x"),
    "center": lambda text, other: text.center(20),
    "format": lambda text, other: f"{text}",
}


@pytest.mark.parametrize("name", OPERATIONS)
@given(text=texts, other=st.text("abAB ,", max_size=3))
def test_an_operation_is_that_of_strings_and_honest(name: str, text: str, other: str) -> None:
    operation = OPERATIONS[name]
    # What is searched for or added is nobody's here, whatever it looks like.
    assert_honest(operation(authored(text), other), operation(text, other))


@given(st.lists(texts, max_size=4), texts)
def test_join(parts: list[str], separator: str) -> None:
    assert_honest(join(authored(separator), [authored(part) for part in parts]), separator.join(parts))
    assert_honest(join(separator.upper(), [authored(part) for part in parts]), separator.upper().join(parts))


@given(texts, st.text("abAB", max_size=2), texts, st.integers(-1, 3))
def test_replace(text: str, old: str, new: str, count: int) -> None:
    assert_honest(replace(authored(text), old, authored(new), count), text.replace(old, new, count))


@pytest.mark.parametrize("change", [str.lower, str.upper, str.capitalize, str.title])
@given(text=st.text(max_size=10), place=st.integers(0, 10))
def test_changing_case_keeps_every_mark_in_its_place(change: Callable[[str], str], text: str, place: int) -> None:
    own = bytes(index < place for index in range(len(text)))
    changed = getattr(Authored(text, own), change.__name__)()
    assert str.__eq__(changed, change(text))
    assert own_of(changed) in (own, bytes(len(changed)))


def test_what_is_known_survives() -> None:
    text = Authored.whole("<|") + "user" + Authored.whole("|>\n")
    assert own_of(text) == b"\1\1\0\0\0\0\1\1\1"
    assert own_of(text.strip().split("user")[1]) == b"\1\1"
    assert own_of(join(Authored.whole(", "), ["a", text[0]])) == b"\0\1\1\1"
    assert own_of(replace("a-b", "-", Authored.whole("+"))) == b"\0\1\0"
