"""Packed token ids and probabilities come back as they went in."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.store.tokens import NO_TOKEN, TokenLog, unpack_ids, unpack_logprobs

IDS = st.integers(0, NO_TOKEN - 1)
LOGPROBS = st.floats(max_value=0, allow_nan=False, width=32)
TOKENS = st.lists(st.tuples(IDS, LOGPROBS, st.lists(st.tuples(IDS, LOGPROBS), max_size=7)), max_size=20)


@given(TOKENS, st.integers(0, 6))
def test_round_trip(tokens: list, alternatives: int) -> None:
    log = TokenLog(alternatives)
    for token, logprob, top in tokens:
        log.append(token, logprob, top)
    assert len(log) == len(tokens)
    assert unpack_ids(log.ids()) == [token for token, _, _ in tokens]
    unpacked = [(probability.logprob, list(probability.top)) for probability in unpack_logprobs(log.logprobs())]
    assert unpacked == [(logprob, top[:alternatives]) for _, logprob, top in tokens]


def test_layout_is_as_documented() -> None:
    log = TokenLog(2)
    log.append(7, -0.5, [(7, -0.5)])
    assert log.ids() == b"\x07\x00\x00\x00"
    assert log.logprobs() == b"\x01\x02" + struct.pack("<fIfIf", -0.5, 7, -0.5, NO_TOKEN, float("-inf"))


def test_a_token_out_of_range_leaves_both_of_one_length() -> None:
    log = TokenLog()
    with pytest.raises(struct.error):
        log.append(-1, 0.0)
    assert unpack_ids(log.ids()) == []
    assert unpack_logprobs(log.logprobs()) == []


@pytest.mark.parametrize("blob", [b"\x02\x05", b"\x01", b"\x01\x05\x00"])
def test_damaged_probabilities_are_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match="token_logprobs"):
        unpack_logprobs(blob)


def test_damaged_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="5 bytes"):
        unpack_ids(b"12345")


def test_nothing_is_no_tokens() -> None:
    assert unpack_ids(None) == []
    assert unpack_logprobs(None) == []
