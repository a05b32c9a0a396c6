"""What is kept of the tokens of an answer is what the model gives them, and takes little room."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.store import Message
from app.store.tokens import unpack_ids, unpack_logprobs
from engine import Engine, Sampling
from tests.app.inside.inside import Inside

MOST_BYTES = 60
MOST_APART = 1e-3


def test_a_token_takes_at_most_sixty_bytes(inside: Inside, answer: Message) -> None:
    kept = inside.store.messages.get(answer.id)
    assert kept.token_ids
    assert kept.token_logprobs
    count = len(unpack_ids(kept.token_ids))
    # Two bytes of the second say how it is laid out, however many there are.
    assert (len(kept.token_ids) + len(kept.token_logprobs) - 2) / count <= MOST_BYTES
    assert all(len(each.top) == 5 for each in unpack_logprobs(kept.token_logprobs))


def test_they_are_those_of_a_fresh_scoring(inside: Inside, answer: Message) -> None:
    stored = unpack_logprobs(answer.token_logprobs)
    assert answer.engine["kernels"] == inside.backend.info.kernels == "native"
    scored = inside.post(f"score/{answer.id}")
    assert scored["ids"] == unpack_ids(answer.token_ids)
    rows = zip(stored, scored["logprobs"], scored["entropies"], scored["ranks"], strict=True)
    for before, logprob, entropy, rank in rows:
        assert before.logprob == pytest.approx(logprob, abs=MOST_APART)
        assert before.entropy == pytest.approx(entropy, abs=MOST_APART)
        assert before.rank == rank
    assert inside.store.messages.get(answer.id) == answer


def test_also_by_torch(model_path: Path) -> None:
    messages = [{"role": "user", "content": "Write one sentence about rain."}]
    with Engine.load(model_path, kernels="torch", context=512) as engine:
        run = engine.chat(messages, Sampling(temperature=1.0, seed=4, max_tokens=14, logprobs=5))
        steps = [step for step in run if step.token is not None]
        ids = [step.token for step in steps if step.token is not None]
        scores = engine.score([*run.prompt, *ids], first=len(run.prompt))
    assert len(scores) == len(steps) == 14
    for step, score in zip(steps, scores, strict=True):
        assert step.logprob == pytest.approx(score.logprob, abs=MOST_APART)
        assert step.entropy == pytest.approx(score.entropy, abs=MOST_APART)
        assert step.rank == score.rank
        for (token, value), (other, now) in zip(step.top, score.top, strict=True):
            assert value == pytest.approx(now, abs=MOST_APART)
            # Two that are as likely may stand in another order.
            assert token == other or value == pytest.approx(now, abs=1e-4)
