"""Answers come again from their records to the last token; a change shows at the token where it first matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.inside.comparison import Variation
from app.store import Message
from app.store.tokens import unpack_ids
from tests.app.inside.inside import WARM, Inside
from tests.app.serving import finish

TOGETHER = 8


def make(inside: Inside, count: int, tokens: int) -> list[Message]:
    """So many answers with a seed each, made one at a time; then as many, eight at a time."""
    alone = [inside.ask(f"Tell me about {seed}.", seed=seed, max_tokens=tokens) for seed in range(count)]
    together: list[Message] = []
    for first in range(0, count, TOGETHER):
        seeds = range(first, min(count, first + TOGETHER))
        variations = [Variation(str(seed), WARM | {"seed": seed, "max_tokens": tokens}) for seed in seeds]
        sent = inside.chats.compare(None, variations, text="Tell me a story.")
        together += [finish(inside.chats, inside.store, each) for each in sent]
    return [*alone, *together]


def all_come_again(inside: Inside, answers: list[Message]) -> None:
    for answer in answers:
        [result] = inside.replayed(answer.id)
        assert (result["verdict"], result["tokens"]) == ("identical", len(unpack_ids(answer.token_ids))), result
        assert inside.store.messages.get(answer.id) == answer


def test_they_are_identical_also_after_a_restart(inside: Inside, answer: Message) -> None:
    answers = [answer, *make(inside, 6, 6)]
    all_come_again(inside, answers)
    ids = unpack_ids(answer.token_ids)
    other = next(each["id"] for each in inside.post(f"token/{answer.id}/5")["candidates"] if each["id"] != ids[5])
    branch = inside.finished(inside.post(f"branch/{answer.id}", {"index": 5, "id": other})["message"])
    inside.restart()
    table = inside.get(f"tokens/{branch.id}")
    assert table["branch"] == {"from": answer.id, "at": 5, "forced": 1}
    assert table["ids"][:6] == [*ids[:5], other]
    all_come_again(inside, answers)
    [result] = inside.replayed(branch.id)
    assert (result["verdict"], result["tokens"]) == ("identical", len(unpack_ids(branch.token_ids)) - 1)
    whole = inside.replayed(f"conversation/{answers[-1].conversation_id}")
    assert [each["verdict"] for each in whole] == ["identical"] * 6


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["native", "torch"])
def test_fifty_of_fifty(tmp_path: Path, model_path: Path, kernels: str) -> None:
    inside = Inside.with_model(tmp_path / "home", model_path, kernels=kernels)
    try:
        answers = make(inside, 50, 24)
        assert len({answer.seed for answer in answers}) == 50
        assert len(answers) == 100
        all_come_again(inside, answers)
        inside.restart()
        all_come_again(inside, answers)
    finally:
        inside.close()


@pytest.mark.parametrize("change", [{"seed": 99}, {"temperature": 0.0}, {"top_k": 1}, {"repetition_penalty": 2.0}])
def test_a_changed_setting_shows_at_its_first_token(inside: Inside, answer: Message, change: dict[str, Any]) -> None:
    [result] = inside.replayed(answer.id, {"settings": change})
    ids = unpack_ids(answer.token_ids)
    assert result["verdict"] == "differs"
    assert result["tokens"] == result["at"]
    assert result["stored"]["id"] == ids[result["at"]] != result["fresh"]["id"]
    assert [each["id"] for each in result["stored"]["top"]] == [each["id"] for each in result["fresh"]["top"]]
    assert len(result["fresh"]["top"]) == 5
    if change in ({"temperature": 0.0}, {"top_k": 1}):
        # Then the likeliest is taken, so that they part at the first token that was not.
        likely = [table == ids[at] for at, table in enumerate(_likeliest(inside, answer))]
        assert result["at"] == likely.index(False)


def _likeliest(inside: Inside, answer: Message) -> list[int]:
    return [inside.post(f"token/{answer.id}/{at}")["candidates"][0]["id"] for at in range(int(answer.new_tokens or 0))]


def test_a_replay_is_stopped(inside: Inside) -> None:
    long = inside.ask("Count.", seed=1, max_tokens=150, ignore_eos=True)
    id = inside.post(f"replay/{long.id}")["replay"]
    inside.post(f"replays/{id}/cancel")
    while (view := inside.get(f"replays/{id}"))["state"] == "running":
        pass
    assert view["state"] == "cancelled"
    assert view["done"] < view["total"] == 150
