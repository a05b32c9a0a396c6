"""Ids sort in the order they were made, whatever the clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.store.ids import LENGTH, LIMIT, IdSource, decode, encode

TIMES = st.floats(min_value=0, max_value=4e9, allow_nan=False)


@given(st.lists(TIMES, min_size=2, max_size=50))
def test_ids_increase_even_if_the_clock_stands_still_or_steps_back(times: list[float]) -> None:
    clock = iter(times)
    ids = IdSource(lambda: next(clock))
    made = [ids.new() for _ in times]
    assert made == sorted(set(made))
    assert all(len(id) == LENGTH for id in made)


@given(TIMES, TIMES)
def test_ids_go_on_from_the_newest_seen(before: float, after: float) -> None:
    newest = IdSource(lambda: before).new()
    ids = IdSource(lambda: after)
    ids.seen(newest)
    assert ids.new() > newest


@given(st.integers(0, LIMIT - 1), st.integers(0, LIMIT - 1))
def test_text_sorts_as_numbers_do(one: int, other: int) -> None:
    assert decode(encode(one)) == one
    assert (encode(one) < encode(other)) == (one < other)


@given(st.text())
def test_foreign_ids_are_ignored(text: str) -> None:
    ids = IdSource(lambda: 1.0)
    ids.seen(text)
    ids.seen(None)
    assert ids.new() < encode(2000 << 80) or decode(text) is not None
