from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import EngineError, InvalidSampling, Sampling
from engine.sampler import Sampler
from engine.scores import Scores, scores_of

NEUTRAL = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
VOCABULARY = 12
logit_lists = st.lists(st.floats(-8, 8), min_size=VOCABULARY, max_size=VOCABULARY).map(torch.tensor)


def scored(logits: torch.Tensor) -> Scores:
    (scores,) = scores_of(logits.unsqueeze(0), VOCABULARY)
    return scores


def draws(sampling: Sampling, logits: torch.Tensor, count: int) -> Counter[int]:
    sampler = Sampler(sampling, 7, [0], VOCABULARY)
    return Counter(sampler.choose(scored(logits)).token for _ in range(count))


def kept(sampling: Sampling, logits: torch.Tensor) -> set[int]:
    """The tokens a setting leaves possible, by the definitions, computed the slow and plain way."""
    order = sorted(range(VOCABULARY), key=lambda token: -float(logits[token]))
    if sampling.top_k:
        order = order[: sampling.top_k]
    weights = {
        token: math.exp((float(logits[token]) - float(logits[order[0]])) / sampling.temperature) for token in order
    }
    probabilities = {token: weight / sum(weights.values()) for token, weight in weights.items()}
    nucleus, total = [], 0.0
    for token in order:
        if total >= sampling.top_p:
            break
        nucleus.append(token)
        total += probabilities[token]
    return {
        token for token in nucleus if probabilities[token] >= sampling.min_p * probabilities[nucleus[0]] * (1 - 1e-9)
    }


@given(logit_lists)
def test_temperature_zero_is_greedy(logits: torch.Tensor) -> None:
    assert float(logits[Sampler(Sampling(temperature=0), 0, [0], VOCABULARY).choose(scored(logits)).token]) == float(
        logits.max()
    )


@given(
    logit_lists,
    st.builds(
        Sampling,
        temperature=st.floats(0.2, 2),
        top_k=st.integers(0, VOCABULARY + 3),
        top_p=st.floats(0.05, 1),
        min_p=st.floats(0, 0.9),
    ),
)
@settings(max_examples=100)
def test_only_kept_tokens_are_drawn(logits: torch.Tensor, sampling: Sampling) -> None:
    # Distinct logits, because which of two equal ones is cut is nobody's promise.
    logits = logits + torch.arange(VOCABULARY) * 1e-3
    assert set(draws(sampling, logits, 40)) <= kept(sampling, logits)


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, 0.5, 1.5, -2.0, 0.0, 1.0, 0.3, -0.7, 0.9])
    count = 6000
    found = draws(NEUTRAL.replace(temperature=0.8), logits, count)
    expected = (logits / 0.8).softmax(dim=-1) * count
    chi_square = sum(
        (found[token] - float(expected[token])) ** 2 / float(expected[token]) for token in range(VOCABULARY)
    )
    # 31.3 is the 99.9 % quantile of chi-square with 11 degrees of freedom; the seed is fixed.
    assert chi_square < 31.3


def test_the_seed_decides() -> None:
    logits = torch.zeros(VOCABULARY)

    def sequence(seed: int) -> list[int]:
        sampler = Sampler(NEUTRAL, seed, [0], VOCABULARY)
        return [sampler.choose(scored(logits)).token for _ in range(30)]

    assert sequence(1) == sequence(1)
    assert sequence(1) != sequence(2)


def test_repetition_penalty_counts_prompt_and_answer() -> None:
    logits = torch.tensor([3.0, 2.9, 2.8, *[-5.0] * 9])
    sampler = Sampler(Sampling(temperature=0, repetition_penalty=1.5), 0, [0], VOCABULARY)
    assert [sampler.choose(scored(logits)).token for _ in range(3)] == [1, 2, 0]


def test_negative_logits_are_penalised_downwards() -> None:
    logits = torch.full((VOCABULARY,), -1.0)
    sampler = Sampler(Sampling(temperature=0, repetition_penalty=1.5), 0, list(range(VOCABULARY - 1)), VOCABULARY)
    assert sampler.choose(scored(logits)).token == VOCABULARY - 1


def test_presence_and_frequency_count_the_answer_only() -> None:
    logits = torch.tensor([1.0, 0.9, *[-5.0] * 10])
    presence = Sampler(Sampling(temperature=0, presence_penalty=0.5), 0, [0], VOCABULARY)
    assert [presence.choose(scored(logits)).token for _ in range(4)] == [0, 1, 0, 0]
    frequency = Sampler(Sampling(temperature=0, frequency_penalty=0.5), 0, [0], VOCABULARY)
    assert [frequency.choose(scored(logits)).token for _ in range(4)] == [0, 1, 0, 1]


def test_logit_bias_moves_the_choice_and_is_checked() -> None:
    logits = torch.zeros(VOCABULARY)
    assert Sampler(Sampling(temperature=0, logit_bias={5: 3.0}), 0, [0], VOCABULARY).choose(scored(logits)).token == 5
    with pytest.raises(InvalidSampling, match="token 99"):
        Sampler(Sampling(logit_bias={99: 1.0}), 0, [0], VOCABULARY)


@given(logit_lists)
def test_logprobs_are_the_models_own(logits: torch.Tensor) -> None:
    sampler = Sampler(Sampling(temperature=0.3, top_k=2, repetition_penalty=1.9, logprobs=4), 0, [0], VOCABULARY)
    choice = sampler.choose(scored(logits))
    expected = logits.log_softmax(dim=-1)
    assert choice.logprob == pytest.approx(float(expected[choice.token]), abs=1e-4)
    assert [logprob for _, logprob in choice.top] == pytest.approx(expected.topk(4).values.tolist(), abs=1e-4)


def test_broken_logits_are_an_error() -> None:
    with pytest.raises(EngineError, match="not numbers"):
        Sampler(NEUTRAL, 0, [0], VOCABULARY).choose(scored(torch.full((VOCABULARY,), float("nan"))))


@given(logit_lists, st.sampled_from([0.0, 1.0, 2.0]))
def test_ids_without_a_token_have_no_part_in_it(logits: torch.Tensor, temperature: float) -> None:
    sampling = NEUTRAL.replace(temperature=temperature, logprobs=3, presence_penalty=0.1)
    padded = torch.cat([logits, torch.full((4,), 100.0)])
    assert Sampler(sampling, 1, [0], VOCABULARY).choose(scored(padded)) == Sampler(sampling, 1, [0], VOCABULARY).choose(
        scored(logits)
    )


@pytest.mark.parametrize(
    ("sampling", "fetched"),
    [
        (Sampling(temperature=0), False),
        (Sampling(temperature=1, top_k=40, top_p=0.9, min_p=0.05, logprobs=5, seed=3), False),
        (Sampling(temperature=1, repetition_penalty=1.2, seed=3), True),
        (Sampling(temperature=1, logit_bias={5: 1.0}, seed=3), True),
    ],
)
def test_all_logits_are_fetched_only_where_a_setting_changes_them(sampling: Sampling, fetched: bool) -> None:
    """Where they were computed they are many; on the way to the CPU is what a choice takes."""
    logits = torch.randn(1, 300, generator=torch.Generator().manual_seed(1))
    (scores,) = scores_of(logits, 300)
    choice = Sampler(sampling, 3, [1, 2], 300).choose(scores)
    assert ("logits" in vars(scores)) == fetched
    assert choice.logprob == pytest.approx(float(logits.log_softmax(-1)[0, choice.token]), abs=1e-5)


def test_a_logit_beyond_the_likeliest_is_found() -> None:
    logits = torch.arange(300.0).unsqueeze(0)
    (scores,) = scores_of(logits, 300)
    assert [scores.logit(token) for token in (0, 100, 299)] == [0.0, 100.0, 299.0]
