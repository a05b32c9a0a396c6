"""What cannot be is said in one line with what is possible instead, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.models import Models
from app.remote import Address, RemoteEngine, RemoteSource
from app.store import Message, Store
from app.store.tokens import unpack_ids
from engine import looking
from tests.app.inside.inside import Inside
from tests.app.remote.scripted import DONE, delta, scripted, stream

OTHER = "ab" * 32


@contextmanager
def unchanged(store: Store, conversation_id: str) -> Iterator[None]:
    """Nothing of the conversation is another after the block."""
    conversation, messages = store.conversations.get(conversation_id), store.messages.tree(conversation_id)
    yield
    assert store.messages.tree(conversation_id) == messages
    assert store.conversations.get(conversation_id) == conversation


def copied(inside: Inside, answer: Message, **columns: Any) -> Message:
    """Another answer beside it with the same tokens, settings and seed."""
    names = ("content", "model", "model_digest", "token_ids", "token_logprobs", "settings", "seed", "engine")
    values = {name: getattr(answer, name) for name in names} | columns
    return inside.store.messages.add(answer.conversation_id, parent_id=answer.parent_id, role="assistant", **values)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("branch/{id}", {"index": 999, "id": 5}, "there is no token 999: this answer has "),
        ("branch/{id}", {"index": -1, "id": 5}, "there is no token -1"),
        ("branch/{id}", {"index": 1, "id": 10**6}, "ids go from 0 to 49151"),
        ("branch/{id}", {"index": 1}, "either a token's id or a word"),
        ("branch/{id}", {"index": 1, "id": 2}, "ends the answer there: choose another"),
        ("branch/{id}", {"index": 1, "text": " umbrellaless"}, "branch with all of them, or with the first alone"),
        ("branch/{id}", {"index": 1, "text": ""}, "no token: type a word, or choose one of the alternatives"),
        ("branch/{id}", {"index": 1, "text": "a" * 500}, "200 characters, not 500"),
        ("token/{id}/999", {}, "there is no token 999"),
        ("token/{id}/0", {"settings": {"temperature": 9}}, "temperature"),
        ("look/{id}/999", {}, "there is no token 999"),
        ("replay/{id}", {"settings": {"warmth": 1}}, "warmth"),
        ("next", {"text": ""}, "the prompt is empty"),
        ("next", {"ids": [10**7]}, "ids go from 0 to 49151"),
        ("next", {"ids": [300] * 3000}, "3,000"),
        ("look", {"ids": [300] * 3000}, "3,000"),
        ("complete", {"ids": [300] * 3000}, "3,001"),
        ("compare", {"text": "Hello", "presets": ["balanced"]}, "two to 4 presets are compared, not 1"),
        ("compare", {"text": "Hello", "sweep": {"seed": list(range(17))}}, "2 to 16 values, not 17"),
        ("compare", {"text": "Hello", "sweep": {"temperature": [0.5, 9]}}, "temperature"),
        ("pick/{id}", {}, "was not compared with others"),
    ],
)
def test_bad_input(inside: Inside, answer: Message, path: str, body: dict[str, Any], words: str) -> None:
    with unchanged(inside.store, answer.conversation_id):
        assert words.lower() in inside.refused(path.format(id=answer.id), body).lower()
    assert "here is no message" in inside.refused("score/01ARZ3NDEKTSV4RRFFQ69G5FAV", status=404)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"model": "Another", "model_digest": OTHER}, "written by Another (abababababab), and"),
        ({"model_digest": OTHER}, "are not those that wrote this (SHA-256 abababababab, now"),
        (
            {"model": "far", "model_digest": OTHER, "engine": {"device": "http://far:8000/v1"}},
            "far at http://far:8000/v1 wrote this, which only that server could do again: score it",
        ),
        ({"token_ids": None, "token_logprobs": None}, "this text came without tokens: score it"),
    ],
    ids=["model gone", "digest differs", "of another server", "without tokens"],
)
def test_an_answer_of_which_the_model_is_not_there(
    inside: Inside, answer: Message, columns: dict[str, Any], words: str
) -> None:
    other = copied(inside, answer, **columns)
    with unchanged(inside.store, answer.conversation_id):
        [result] = inside.replayed(other.id)
        assert result["verdict"] == "cannot"
        assert words in result["note"]
        assert "score" in result["note"]
        for path, body in (("branch/{id}", {"index": 1, "id": 5}), ("look/{id}/1", {})):
            assert words.lower() in inside.refused(path.format(id=other.id), body).lower()
        # What is possible: the loaded model reads it, and tells the alternatives of what it read.
        table = inside.get(f"tokens/{other.id}")
        assert (table["count"], table["can_score"]) == (0, None)
        assert table["can_keep"] is (other.token_ids is None)
        scored = inside.post(f"score/{other.id}")
        assert "".join(text for at, text in enumerate(scored["texts"]) if at not in scored["control"]) == answer.content
        detail = inside.post(f"token/{other.id}/1")
        assert (detail["source"], detail["logprob"]) == ("fresh", pytest.approx(scored["logprobs"][1], abs=1e-3))
        told = inside.get(f"provenance/{other.id}")
        assert told["written"] == "by a model"
        if other.token_ids:
            assert told["model"]["loaded"] is False
            assert "without keeping it" in inside.refused(f"score/{other.id}", {"store": True})
    inside.chats.delete(other.id)


def test_a_record_of_which_something_is_lost(inside: Inside, answer: Message) -> None:
    seedless = copied(inside, answer, seed=None)
    moved = copied(inside, answer, extra={"prompt_digest": "00" * 16})
    for other, words in ((seedless, "no seed or settings were kept"), (moved, "the prompt cannot be made again")):
        with unchanged(inside.store, answer.conversation_id):
            [result] = inside.replayed(other.id)
            assert (result["verdict"], words in result["note"]) == ("cannot", True)
        inside.chats.delete(other.id)


def test_a_picture_of_too_much_attention(inside: Inside, answer: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the default model more tokens than its context has; here as with a model of many heads.
    monkeypatch.setattr(looking, "MOST_NUMBERS", 30 * 9 * 10)
    with unchanged(inside.store, answer.conversation_id):
        assert inside.refused(f"look/{answer.id}/3").endswith("are shown: look at one of the first 10 tokens")


def test_refusals_are_in_the_language_of_the_page(inside: Inside, answer: Message) -> None:
    inside.client.headers["accept-language"] = "zh-CN"
    try:
        count = answer.new_tokens
        assert inside.refused(f"token/{answer.id}/99") == f"没有词元 99：此回答有 {count} 个，从 0 数起"
        [result] = inside.replayed(copied(inside, answer, seed=None).id)
        assert result["note"].startswith("没有保存种子")
    finally:
        del inside.client.headers["accept-language"]


def token(id: int, logprob: float, text: str) -> dict[str, Any]:
    return {"token": f"token_id:{id}", "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []}


def told(*tokens: dict[str, Any]) -> bytes:
    """An event with probabilities, as vLLM sends it."""
    text = "".join(bytes(each["bytes"]).decode() for each in tokens)
    choice = {"index": 0, "delta": {"content": text}, "logprobs": {"content": list(tokens)}, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def test_answers_of_a_server_that_tells_no_probabilities(tmp_path: Path, inside: Inside) -> None:
    plain = stream(delta("It is"), delta(" warm.", "stop"), DONE)
    with scripted(plain) as server:
        address = Address.parse(server.url)

        def elsewhere(home: Path) -> Models:
            models = Models(home, "none")
            models.switch(RemoteSource(address, connect=lambda: RemoteEngine.connect(address)))
            return models

        there = Inside(tmp_path / "home", elsewhere)
        try:
            answer = there.ask("What is a fire?")
            assert (answer.content, answer.status) == ("It is warm.", "complete")
            with unchanged(there.store, answer.conversation_id):
                table = there.get(f"tokens/{answer.id}")
                assert (table["count"], table["probabilities"]) == (0, False)
                assert "choose a model of this computer to score, replay or look inside" in table["can_score"]
                for path, body in (
                    ("score/{id}", {}),
                    ("token/{id}/0", {}),
                    ("branch/{id}", {"index": 0, "text": " hot"}),
                    ("words", {"text": " hot"}),
                    ("replay/{id}", {}),
                    ("replay/conversation/" + answer.conversation_id, {}),
                    ("look/{id}/0", {}),
                    ("look", {"ids": [1]}),
                    ("next", {"text": "Hello,"}),
                    ("complete", {"text": "Hello,"}),
                ):
                    line = there.refused(path.format(id=answer.id), body)
                    assert "choose a model of this computer" in line, (path, line)
                where = there.get(f"provenance/{answer.id}")
                assert where["engine"]["device"] == server.url
                assert where["prompt"]["ids"] is None
                assert where["prompt"]["messages"] == [{"role": "user", "content": "What is a fire?"}]
            server.reply = stream(told(token(7, -0.5, "Hot"), token(9, -1.5, ".")), delta(None, "stop"), DONE)
            known = there.ask("And ice?")
            with unchanged(there.store, known.conversation_id):
                table = there.get(f"tokens/{known.id}")
                assert (table["texts"], table["logprobs"]) == (["Hot", "."], [-0.5, -1.5])
                detail = there.post(f"token/{known.id}/1")
                assert (detail["source"], detail["logprob"], detail["text"]) == ("stored", -1.5, ".")
                assert "choose a model" in there.refused(f"token/{known.id}/1", {"fresh": True})
            there.restart()
            # What a token says is known only while its server tells.
            assert there.get(f"tokens/{known.id}")["count"] == 0
            assert unpack_ids(there.store.messages.get(known.id).token_ids) == [7, 9]
        finally:
            there.close()
