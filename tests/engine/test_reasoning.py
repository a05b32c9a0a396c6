from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.reasoning import TAGS, ThinkTags, think_tags
from engine.text import AnswerStream

THINK = ThinkTags("<think>", "</think>")


def feed(chunks: list[bytes], tags: ThinkTags | None = THINK, *, thinking: bool = False) -> tuple[str, str]:
    stream = AnswerStream((), tags, thinking=thinking)
    shown = [*(stream.push(chunk) for chunk in chunks), stream.finish()]
    return "".join(part.reasoning for part in shown), "".join(part.text for part in shown)


def separated(text: str, tags: ThinkTags, thinking: bool) -> tuple[str, str]:
    """The definition, on a text that is whole."""
    opened = text.lstrip().startswith(tags.open)
    if not (opened or thinking):
        return "", text
    rest = text.lstrip().removeprefix(tags.open) if opened else text
    thoughts, _, answer = rest.partition(tags.close)
    return thoughts.strip("\n"), answer.lstrip("\n")


@pytest.mark.parametrize(
    ("text", "thinking", "expected"),
    [
        ("<think>\nhm\n</think>\n\nYes.", False, ("hm", "Yes.")),
        ("hm\n</think>\n\nYes.", True, ("hm", "Yes.")),
        ("<think>\nhm\n</think>\n\nYes.", True, ("hm", "Yes.")),
        ("<think>\n\n</think>\n\nYes.", False, ("", "Yes.")),
        ("</think>Yes.", True, ("", "Yes.")),
        (" \n<think>a\n\nb</think>Yes\n", False, ("a\n\nb", "Yes\n")),
        ("<think>cut off\n", False, ("cut off", "")),
        ("<think>cut off </thi", False, ("cut off </thi", "")),
        ("An essay on <think> and </think>.", False, ("", "An essay on <think> and </think>.")),
        ("<think>a</think>b <think>c</think>", False, ("a", "b <think>c</think>")),
        ("  Yes", False, ("", "  Yes")),
        ("<thi", False, ("", "<thi")),
    ],
)
def test_thoughts_are_set_apart(text: str, thinking: bool, expected: tuple[str, str]) -> None:
    assert feed([text.encode()], thinking=thinking) == expected
    assert feed([bytes([byte]) for byte in text.encode()], thinking=thinking) == expected


pieces = st.lists(
    st.sampled_from(["<think>", "</think>", "<think", "</", "<", ">", "\n", " ", "a", "é", "<thi", "nk>", "日"]),
    max_size=12,
)


@given(pieces, st.lists(st.integers(0, 200)), st.booleans(), st.sampled_from(TAGS))
def test_however_the_bytes_are_split(parts: list[str], places: list[int], thinking: bool, tags: ThinkTags) -> None:
    text = "".join(parts).replace("<think>", tags.open).replace("</think>", tags.close)
    data = text.encode()
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    chunks = [data[start:end] for start, end in pairwise(edges)]
    assert feed(chunks, tags, thinking=thinking) == separated(text, tags, thinking)


@given(st.text("<think>/a", max_size=30))
def test_no_more_is_held_back_than_a_tag_may_begin_with(text: str) -> None:
    stream = AnswerStream((), THINK, thinking=True)
    given_out = ""
    for end, character in enumerate("." + text, start=1):
        given_out += stream.push(character.encode()).reasoning
        if THINK.close in text[: end - 1]:
            break
        held = ("." + text)[len(given_out) : end]
        assert THINK.close.startswith(held)


@given(st.text(max_size=40) | pieces.map("".join))
def test_an_ordinary_model_writes_what_it_likes(text: str) -> None:
    assert feed([text.encode("utf-8", "replace")], None) == ("", text.encode("utf-8", "replace").decode())


def test_the_answer_comes_while_it_is_written() -> None:
    stream = AnswerStream((), THINK)
    shown = [
        stream.push(part.encode()) for part in ("<th", "ink>", "\n", "so ", "<", "b", "\n", "</think", ">", "\n", "Y")
    ]
    assert [part.reasoning for part in shown] == ["", "", "", "so ", "", "<b", "", "", "", "", ""]
    assert [part.text for part in shown] == [""] * 10 + ["Y"]


@pytest.mark.parametrize("tags", TAGS)
def test_a_model_is_a_reasoning_model_by_its_template(tags: ThinkTags) -> None:
    assert think_tags(f"{{% set answer = content.split('{tags.close}')[-1] %}}") == tags
    assert think_tags(f"<|assistant|>{tags.open}\n") == tags


def test_other_models_are_none() -> None:
    assert think_tags("{% for m in messages %}{{ '<|im_start|>' + m.role }}{% endfor %} think about it") is None


def test_tags_that_are_control_tokens_are_known_by_their_ids() -> None:
    assert ThinkTags("[THINK]", "[/THINK]").tokens({"[THINK]": 34, "[/THINK]": 35, "<s>": 1}) == {
        34: b"[THINK]",
        35: b"[/THINK]",
    }
    assert THINK.tokens({"<s>": 1}) == {}
