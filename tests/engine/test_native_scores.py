"""What compiled code finds for samplers, against torch's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.scores import LIKELIEST, scores_of

pytest.importorskip("numba")
from engine.native.summary import scores_of as native_scores_of

# Widths around the blocks that are looked at together, and around the number of likeliest that is kept.
SIZES = st.sampled_from([1, 2, 63, 64, 65, 127, 300, 4_099])


@given(SIZES, st.integers(0, 3), st.integers(1, 3), st.floats(0.0, 30.0), st.booleans(), st.integers(0, 2**31))
def test_native_scores_are_torchs(
    vocabulary: int, padding: int, rows: int, spread: float, ties: bool, seed: int
) -> None:
    logits = torch.randn(rows, vocabulary + padding, generator=torch.Generator().manual_seed(seed)) * spread
    if ties:
        logits = logits.round()
    for row, found, expected in zip(
        logits, native_scores_of(logits, vocabulary), scores_of(logits, vocabulary), strict=True
    ):
        assert found.normaliser == pytest.approx(expected.normaliser, abs=1e-5, rel=1e-6)
        assert found.entropy == pytest.approx(expected.entropy, abs=1e-4)
        assert np.array_equal(found.highest, expected.highest)
        assert np.array_equal(row.numpy()[found.ids], found.highest)
        assert len(set(found.ids.tolist())) == min(LIKELIEST, vocabulary)
        assert found.ids.max() < vocabulary
        assert found.likeliest(vocabulary)[0].tolist() == expected.likeliest(vocabulary)[0].tolist()


def test_of_equal_logits_the_lower_ids_come_first() -> None:
    (scores,) = native_scores_of(torch.zeros(1, 1000), 1000)
    assert scores.ids.tolist() == list(range(LIKELIEST))


@pytest.mark.parametrize("place", [0, 63, 64, 199])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_a_number_is_noticed(place: int, value: float) -> None:
    logits = torch.randn(2, 200)
    logits[1, place] = value
    sound, damaged = native_scores_of(logits, 200)
    assert math.isfinite(sound.normaliser)
    assert math.isnan(damaged.normaliser)
