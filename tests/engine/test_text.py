from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.reasoning import ThinkTags
from engine.text import AnswerStream, Shown


def feed(chunks: list[bytes], stop: tuple[str, ...] = ()) -> tuple[str, bool]:
    stream = AnswerStream(stop)
    text = "".join(stream.push(chunk).text for chunk in chunks)
    return text + stream.finish().text, stream.stopped


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)] or [b""]


def until_stop(text: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    """The definition, in the plainest way: grow the text by a character until it ends with a stop string."""
    for end in range(1, len(text) + 1):
        if ended := [s for s in stop if text[:end].endswith(s)]:
            return text[: end - max(map(len, ended))], True
    return text, False


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_any_bytes_in_any_split_equal_the_whole(data: bytes, places: list[int]) -> None:
    assert feed(cut(data, places)) == (data.decode("utf-8", "replace"), False)


@given(st.text(max_size=30), st.lists(st.integers(0, 120)))
def test_half_a_character_is_never_given_out(text: str, places: list[int]) -> None:
    stream = AnswerStream()
    given_out = ""
    for chunk in cut(text.encode("utf-8", "replace"), places):
        given_out += stream.push(chunk).text
        assert text.encode("utf-8", "replace").decode().startswith(given_out)


# Few letters, so that stop strings overlap with themselves and with each other.
few = st.text("abé", max_size=20)
stops = st.lists(st.text("abé", min_size=1, max_size=4), max_size=3).map(tuple)


@given(few, stops, st.lists(st.integers(0, 40)))
def test_stop_strings_are_found_in_any_split(text: str, stop: tuple[str, ...], places: list[int]) -> None:
    assert feed(cut(text.encode(), places), stop) == until_stop(text, stop)


@given(few, stops)
def test_no_more_is_held_back_than_a_stop_string_may_begin_with(text: str, stop: tuple[str, ...]) -> None:
    stream = AnswerStream(stop)
    given_out = ""
    for end, character in enumerate(text, start=1):
        given_out += stream.push(character.encode()).text
        if stream.stopped:
            break
        held = text[len(given_out) : end]
        possible = [text[start:end] for start in range(end) if any(s.startswith(text[start:end]) for s in stop)]
        assert held == max(possible, key=len, default="")


def test_every_split_of_one_stop_string() -> None:
    data = "say 日本 <stop> never".encode()
    for first in range(len(data)):
        for second in range(first, len(data)):
            chunks = [data[:first], data[first:second], data[second:]]
            assert feed(chunks, ("<stop>",)) == ("say 日本 ", True)


def test_what_a_stop_string_might_have_begun_is_shown_at_the_end() -> None:
    stream = AnswerStream(("\nUser:",))
    assert stream.push(b"done\nUse").text == "done"
    assert stream.finish().text == "\nUse"
    assert stream.finish().text == ""
    assert not stream.stopped


def test_half_a_character_at_the_end_is_replaced() -> None:
    stream = AnswerStream()
    assert stream.push("é".encode()[:1]).text == ""
    assert stream.finish().text == "\ufffd"


def test_nothing_follows_a_stop_string() -> None:
    stream = AnswerStream(("END",))
    assert stream.push(b"a END b").text == "a "
    assert stream.stopped
    assert stream.push(b"more").text == ""
    assert stream.finish().text == ""


@pytest.mark.parametrize(("stop", "expected"), [(("abc", "b"), "xa"), (("ab", "b"), "x"), (("bc", "ab"), "x")])
def test_the_stop_string_that_is_complete_first_counts(stop: tuple[str, ...], expected: str) -> None:
    assert feed([b"xabcd"], stop) == feed([b"x", b"a", b"b", b"c", b"d"], stop) == (expected, True)


def test_a_stop_string_ends_the_answer_and_not_the_thoughts() -> None:
    stream = AnswerStream(("END",), ThinkTags("<think>", "</think>"))
    assert stream.push(b"<think>to END or</think>not END to be") == Shown("to END or", "not ")
    assert stream.stopped
    assert stream.finish() == Shown("", "")
