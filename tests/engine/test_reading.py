"""Scores and distributions of given tokens, and prompts that are computed once for several runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import ContextOverflow, Engine, EngineError, InvalidPrompt, Sampling
from engine.sampler import Sampler
from engine.scores import scores_of
from tests.tiny import write_tiny_llama

TEXT = [*range(3, 120)] * 2
LONG = TEXT[:150]


@pytest.fixture(scope="module")
def engine(tiny_path: Path) -> Iterator[Engine]:
    with Engine.load(tiny_path, device="cpu", kernels="torch") as engine:
        yield engine


def test_scores_are_the_softmax_of_the_logits(engine: Engine) -> None:
    found = engine.score(LONG, top=3)
    logprobs = engine.logits(LONG).log_softmax(-1)
    assert [score.token for score in found] == LONG[1:]
    for score, row in zip(found, logprobs, strict=False):
        assert score.logprob == pytest.approx(float(row[score.token]), abs=1e-4)
        assert score.rank == 1 + int((row > row[score.token]).sum())
        assert score.entropy == pytest.approx(-float((row.exp() * row).sum()), abs=1e-4)
        assert [token for token, _ in score.top] == row.topk(3).indices.tolist()


def test_only_what_is_asked_for_is_scored_and_the_rest_reused(engine: Engine) -> None:
    whole = engine.score(LONG)
    reading = engine.scoring(LONG, first=140)
    assert [score.token for score in reading.result(60)] == LONG[140:]
    assert reading.stats.cached_tokens == 139
    assert reading.done == len(LONG)
    for score, expected in zip(reading.result(), whole[139:], strict=True):
        assert score.logprob == pytest.approx(expected.logprob, abs=1e-4)
    assert engine.score(LONG, first=len(LONG)) == []


def test_a_runs_own_probabilities_are_those_of_scoring_it(engine: Engine) -> None:
    run = engine.generate(LONG[:40], Sampling(temperature=1.5, seed=3, max_tokens=60, logprobs=4, ignore_eos=True))
    steps = list(run)
    tokens = [step.token for step in steps if step.token is not None]
    scores = engine.score([*LONG[:40], *tokens], first=40, top=4)
    for step, score in zip(steps, scores, strict=True):
        assert (step.token, step.rank) == (score.token, score.rank)
        assert step.logprob == pytest.approx(score.logprob, abs=1e-3)
        assert step.entropy == pytest.approx(score.entropy, abs=1e-3)


def test_what_cannot_be_read_is_refused(engine: Engine) -> None:
    with pytest.raises(ContextOverflow):
        engine.score([5] * 300)
    with pytest.raises(InvalidPrompt, match="none before it"):
        engine.score(LONG, first=0)
    with pytest.raises(InvalidPrompt):
        engine.score([10_000, 3])
    # The engine takes a while to begin with others.
    busy = [engine.generate([number], Sampling(ignore_eos=True)) for number in range(3, 11)]
    reading = engine.scoring([5] * 250)
    reading.cancel()
    with pytest.raises(EngineError, match="stopped"):
        reading.result(60)
    for run in busy:
        run.cancel()


def test_a_next_token_is_shaped_as_the_sampler_would(engine: Engine) -> None:
    distribution = engine.next_token(LONG)
    logits = engine.logits(LONG)[-1]
    assert np.allclose(distribution.logits, logits, atol=1e-4)
    assert distribution.entropy == pytest.approx(
        float(torch.distributions.Categorical(logits=logits).entropy()), abs=1e-3
    )
    for sampling in (
        Sampling(temperature=0),
        Sampling(temperature=1.3, top_k=7, top_p=1.0, min_p=0.0),
        Sampling(temperature=0.8, top_k=0, top_p=0.6, min_p=0.1),
        Sampling(temperature=1.0, top_k=20, repetition_penalty=1.5, frequency_penalty=0.5, presence_penalty=0.3),
    ):
        shaped = distribution.shaped(sampling, prompt=LONG[:100], answer=LONG[100:], count=262)
        sampler = Sampler(sampling, 1, LONG[:100], len(logits))
        sampler.resume(LONG[100:])
        (scores,) = scores_of(torch.from_numpy(distribution.logits).unsqueeze(0), len(logits))
        # What can be drawn, drawn: each token that the sampler chooses has a share, and about as often as it says.
        drawn = [sampler._draw(sampler.adjusted(scores)) for _ in range(2_000)]
        shares = {each.token: each.share for each in shaped.candidates if each.share}
        assert sum(shares.values()) == pytest.approx(1.0)
        assert set(drawn) <= set(shares)
        for token, share in shares.items():
            assert drawn.count(token) / len(drawn) == pytest.approx(share, abs=5 * math.sqrt(0.25 / len(drawn)))
        kept = list(shaped.kept.values())
        assert kept == sorted(kept, reverse=True)
        assert kept[-1] == len(shares)
        assert {each.dropped_by for each in shaped.candidates if not each.share} <= {
            "temperature", "top_k", "top_p", "min_p"
        }  # fmt: skip
    penalised = {each.token: each.penalty for each in shaped.candidates}
    assert penalised[LONG[100]] < 0
    assert penalised[259] == 0


def test_runs_with_one_prompt_read_it_once(engine: Engine) -> None:
    prompt = [8, *LONG]
    runs = [engine.generate(prompt, Sampling(seed=seed, max_tokens=8, ignore_eos=True)) for seed in (1, 2, 3, 4)]
    answers = [[step.token for step in run] for run in runs]
    assert len(set(map(tuple, answers))) > 1
    computed = [run.stats.prompt_tokens - run.stats.cached_tokens for run in runs]
    assert sorted(computed)[:3] == [1, 1, 1]
    assert sum(run.stats.forked_tokens for run in runs) > 3 * 140
    for seed, answer in zip((1, 2, 3, 4), answers, strict=True):
        again = engine.generate(prompt, Sampling(seed=seed, max_tokens=8, ignore_eos=True))
        assert [step.token for step in again] == answer


def test_a_run_goes_on_alone_when_the_one_it_waits_for_ends(engine: Engine) -> None:
    prompt = [9, *LONG]
    first = engine.generate(prompt, Sampling(max_tokens=8))
    others = [engine.generate(prompt, Sampling(temperature=0, max_tokens=8, ignore_eos=True)) for _ in range(3)]
    first.cancel()
    answers = [[step.token for step in run] for run in others]
    again = [step.token for step in engine.generate(prompt, Sampling(temperature=0, max_tokens=8, ignore_eos=True))]
    assert answers == [again] * 3


@pytest.fixture(scope="module")
def deterministic_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("long") / "long.gguf", context=1024)


def test_in_the_deterministic_mode_nothing_beside_or_before_changes_a_digit(deterministic_path: Path) -> None:
    """Exact equality of probabilities: alone, after other turns of the conversation, and eight at a time."""
    sampling = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, max_tokens=12, logprobs=5, ignore_eos=True)
    prompts = [[number + 3, *TEXT[: 60 + 17 * number]] for number in range(8)]

    def answer(engine: Engine, number: int) -> list[tuple[int | None, float]]:
        return [(step.token, step.logprob) for step in engine.generate(prompts[number], sampling.replace(seed=number))]

    with Engine.load(deterministic_path, kernels="torch", deterministic=True) as engine:
        # The digits of logprobs depend on the sum's order only; tokens and logits must not differ at all.
        alone = [answer(engine, number) for number in range(8)]
    with Engine.load(deterministic_path, kernels="torch", deterministic=True) as engine:
        for number in range(8):
            # Something of each prompt has been computed before, in other portions.
            list(engine.generate(prompts[number][: 40 + number], sampling))
        runs = [engine.generate(prompt, sampling.replace(seed=number)) for number, prompt in enumerate(prompts)]
        together = [[(step.token, step.logprob) for step in run] for run in runs]
        again = [answer(engine, number) for number in range(8)]
    assert together == alone
    assert again == alone
