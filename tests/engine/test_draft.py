"""Guessed tokens: where they come from, and that no answer changes because of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gguf import GGMLQuantizationType
from hypothesis import given
from hypothesis import strategies as st

from engine import Engine, Sampling
from engine.draft import LONGEST_DRAFT, LONGEST_PAUSE, PromptLookup
from engine.native import compile_native
from tests.tiny import write_tiny_llama

REPEATED = "one two three four five one two three four five one two three"


def test_what_followed_before_is_guessed() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 5, 6, 7, 2, 3, 4])
    assert lookup.draft(3) == [5]
    lookup.judge(1, 1)
    lookup.extend([5])
    assert lookup.draft(3) == [6, 7, 2]
    assert lookup.draft(2) == [6, 7]
    assert lookup.draft(0) == []


def test_a_repetition_is_guessed_beyond_its_end() -> None:
    lookup = PromptLookup([7, 7, 7, 7])
    lookup.judge(1, 1)
    assert lookup.draft(3) == [7, 7, 7]


def test_nothing_is_guessed_of_what_never_stood_before() -> None:
    assert PromptLookup([]).draft(3) == []
    assert PromptLookup([1, 2]).draft(3) == []
    assert PromptLookup(range(100)).draft(3) == []


def test_wrong_guesses_are_made_ever_more_rarely() -> None:
    lookup = PromptLookup([1] * 10)
    pauses = []
    for _ in range(10):
        pause = 0
        while not lookup.draft(3):
            pause += 1
        pauses.append(pause)
        lookup.judge(1, 0)
    assert pauses == [0, 2, 4, 8, 16, 32, *[LONGEST_PAUSE] * 4]
    lookup.judge(1, 1)
    lookup.extend([1])
    for _ in range(LONGEST_PAUSE):
        lookup.draft(3)
    assert len(lookup.draft(3)) == LONGEST_DRAFT


@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 3), max_size=40), st.integers(0, 8))
def test_a_guess_is_of_the_text_however_it_came(before: list[int], after: list[int], most: int) -> None:
    grown = PromptLookup(before)
    grown.extend(after)
    draft = grown.draft(most)
    assert len(draft) <= min(most, LONGEST_DRAFT)
    assert set(draft) <= {*before, *after}
    assert draft == PromptLookup([*before, *after]).draft(most)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Engine]]:
    """One model with guesses and without, by kernels that have them made."""
    pytest.importorskip("numba")
    compile_native()
    path = write_tiny_llama(
        tmp_path_factory.mktemp("draft") / "tiny.gguf", quantization=GGMLQuantizationType.Q4_0, context=512
    )
    with (
        Engine.load(path, device="cpu", kernels="native") as guessing,
        Engine.load(path, device="cpu", kernels="native", speculate=False) as plain,
    ):
        yield guessing, plain


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"temperature": 0.3},
        {"temperature": 0.8, "top_k": 3},
        {"temperature": 0.2, "repetition_penalty": 1.1},
        {"temperature": 0.2, "frequency_penalty": 0.3, "logprobs": 4},
        {"temperature": 0.4, "stop": ["e"]},
    ],
    ids=str,
)
def test_guesses_change_no_answer(pair: tuple[Engine, Engine], settings: dict) -> None:
    guessing, plain = pair
    drafted = accepted = 0
    for seed in range(4):
        for length in (1, 2, 5, 120):
            sampling = Sampling(seed=seed, max_tokens=length, **settings)
            run, expected = guessing.generate(REPEATED, sampling), plain.generate(REPEATED, sampling)
            assert list(run) == list(expected)
            assert run.stats.new_tokens == expected.stats.new_tokens
            assert run.stats.accepted_tokens <= run.stats.drafted_tokens
            assert expected.stats.drafted_tokens == 0
            drafted += run.stats.drafted_tokens
            accepted += run.stats.accepted_tokens
    # Otherwise nothing has been shown.
    assert drafted > 0
    if settings["temperature"] == 0.0:
        assert 0 < accepted < drafted


def test_an_answer_may_fill_the_context_by_guesses(pair: tuple[Engine, Engine]) -> None:
    prompt = [5, 6, 7, 8] * 120
    sampling = Sampling(temperature=0.0, ignore_eos=True, logit_bias={5: 4.0, 6: 4.0, 7: 4.0, 8: 4.0})
    runs = [engine.generate(prompt, sampling) for engine in pair]
    steps = [list(run) for run in runs]
    assert steps[0] == steps[1]
    assert steps[0][-1].finish_reason == "length"
    assert len(prompt) + runs[0].stats.new_tokens == 512


def test_what_was_guessed_wrong_is_not_reused(pair: tuple[Engine, Engine]) -> None:
    guessing, plain = pair
    sampling = Sampling(temperature=0.9, seed=3, max_tokens=60, ignore_eos=True)
    first = guessing.generate(REPEATED, sampling)
    tokens = [step.token for step in first if step.token is not None]
    longer = [*first.prompt, *tokens, 9, 10, 11]
    again = guessing.generate(longer, sampling)
    assert list(again) == list(plain.generate(longer, sampling))
    assert again.stats.cached_tokens >= len(longer) - 4


def test_a_cancelled_run_ends_within_a_token_of_its_guesses(pair: tuple[Engine, Engine]) -> None:
    guessing, _ = pair
    run = guessing.generate([5, 6, 7, 8] * 20, Sampling(temperature=0.0, ignore_eos=True, logit_bias={5: 50.0}))
    steps = []
    for step in run:
        steps.append(step)
        if len(steps) == 30:
            run.cancel()
    assert steps[-1].finish_reason == "cancelled"
    assert run.stats.accepted_tokens > 0
    # The slot is free, and serves the next one.
    assert len(list(guessing.generate("one", Sampling(max_tokens=3, ignore_eos=True)))) == 3
