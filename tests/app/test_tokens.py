"""Packed token ids and probabilities come back as they went in."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.store.tokens import NO_TOKEN, TokenLog, unpack_ids, unpack_logprobs

IDS = st.integers(0, NO_TOKEN - 1)
LOGPROBS = st.floats(max_value=0, allow_nan=False, width=32)
TOPS = st.lists(st.tuples(IDS, LOGPROBS), max_size=7)
ENTROPIES = st.none() | st.floats(min_value=0, allow_nan=False, width=32)
RANKS = st.none() | st.integers(1, NO_TOKEN)
TOKENS = st.lists(st.tuples(IDS, st.none() | LOGPROBS, TOPS, ENTROPIES, RANKS), max_size=20)


@given(TOKENS, st.integers(0, 6))
def test_round_trip(tokens: list, alternatives: int) -> None:
    log = TokenLog(alternatives)
    for token in tokens:
        log.append(*token)
    assert len(log) == len(tokens)
    assert unpack_ids(log.ids()) == [token for token, *_ in tokens]
    assert unpack_logprobs(log.logprobs()) == [
        (logprob, tuple(top[:alternatives]), entropy, rank) for _, logprob, top, entropy, rank in tokens
    ]
    assert TokenLog.resumed(log.ids(), log.logprobs()).logprobs() == log.logprobs()


def test_layout_is_as_documented() -> None:
    log = TokenLog(2)
    log.append(7, -0.5, [(7, -0.5)], 1.25, 3)
    assert log.ids() == b"\x07\x00\x00\x00"
    record = struct.pack("<ffIIfIf", -0.5, 1.25, 3, 7, -0.5, NO_TOKEN, float("-inf"))
    assert log.logprobs() == b"\x02\x02" + record


def test_a_token_takes_at_most_60_bytes() -> None:
    log = TokenLog()
    for _ in range(1_000):
        log.append(7, -0.5, [(token, -0.5) for token in range(5)], 1.25, 3)
    assert len(log.ids()) + len(log.logprobs()) <= 60 * len(log)


def test_answers_of_before_are_read_and_continued() -> None:
    """Layout 1 has no entropy and no rank."""
    old = b"\x01\x02" + struct.pack("<fIfIf", -0.5, 7, -0.5, NO_TOKEN, float("-inf"))
    ids = struct.pack("<I", 7)
    expected = (-0.5, ((7, -0.5),), None, None)
    assert unpack_logprobs(old) == [expected]
    log = TokenLog.resumed(ids, old)
    log.append(8, -1.0, (), 2.0, 1)
    assert unpack_ids(log.ids()) == [7, 8]
    assert unpack_logprobs(log.logprobs()) == [expected, (-1.0, (), 2.0, 1)]


def test_a_token_out_of_range_leaves_both_of_one_length() -> None:
    log = TokenLog()
    with pytest.raises(struct.error):
        log.append(-1, 0.0)
    assert unpack_ids(log.ids()) == []
    assert unpack_logprobs(log.logprobs()) == []


@pytest.mark.parametrize("blob", [b"\x03\x05", b"\x01", b"\x01\x05\x00"])
def test_damaged_probabilities_are_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match="token_logprobs"):
        unpack_logprobs(blob)


def test_damaged_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="5 bytes"):
        unpack_ids(b"12345")


def test_nothing_is_no_tokens() -> None:
    assert unpack_ids(None) == []
    assert unpack_logprobs(None) == []
