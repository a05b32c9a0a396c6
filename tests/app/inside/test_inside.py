"""What can be seen of answers, and done from their inside, with the real model behind real routes."""

from __future__ import annotations

import math

import pytest

from app.store import Message
from app.store.tokens import unpack_ids, unpack_logprobs
from tests.app.inside.inside import Inside


def test_the_tokens_of_an_answer_make_up_its_text(inside: Inside, answer: Message) -> None:
    table = inside.get(f"tokens/{answer.id}")
    assert table["count"] == answer.new_tokens == len(table["ids"])
    shown = [text for place, text in enumerate(table["texts"]) if place not in table["control"]]
    assert "".join(shown) == answer.content
    assert table["probabilities"]
    assert table["can_score"] is None
    assert all(logprob < 0 for logprob in table["logprobs"])
    assert all(rank >= 1 for rank in table["ranks"])
    assert all(entropy >= 0 for entropy in table["entropies"])
    part = inside.get(f"tokens/{answer.id}?from=3&count=4")
    assert part["texts"] == table["texts"][3:7]


def test_a_token_tells_its_alternatives_and_what_settings_keep(inside: Inside, answer: Message) -> None:
    stored = inside.post(f"token/{answer.id}/2")
    fresh = inside.post(f"token/{answer.id}/2", {"fresh": True, "count": 30})
    assert [each["id"] for each in stored["candidates"]][:5] == [each["id"] for each in fresh["candidates"]][:5]
    assert fresh["logprob"] == pytest.approx(stored["logprob"], abs=1e-3)
    assert fresh["rank"] == stored["rank"]
    assert fresh["kept"]["min_p"] == fresh["kept"]["all"] == 49152
    narrow = {"fresh": True, "settings": {"top_k": 3, "temperature": 0.5}}
    shaped = inside.post(f"token/{answer.id}/2", narrow)
    assert shaped["kept"]["top_k"] == 3
    assert [each["dropped_by"] for each in shaped["candidates"]][:4] == [None, None, None, "top_k"]
    assert sum(each["share"] for each in shaped["candidates"]) == pytest.approx(1.0)
    # Three of five are known from what is stored, so that both must say the same.
    told = inside.post(f"token/{answer.id}/2", {"settings": {"top_k": 3, "temperature": 0.5}})
    for before, now in zip(told["candidates"][:5], shaped["candidates"], strict=False):
        assert before["dropped_by"] == now["dropped_by"]
        assert before["share"] == pytest.approx(now["share"], abs=1e-4)


def test_a_branch_keeps_what_was_before_and_reuses_it(inside: Inside, answer: Message) -> None:
    place = 9
    ids = unpack_ids(answer.token_ids)
    other = next(
        each["id"] for each in inside.post(f"token/{answer.id}/{place}")["candidates"] if each["id"] != ids[place]
    )
    sent = inside.post(f"branch/{answer.id}", {"index": place, "id": other})
    branch = inside.finished(sent["message"])
    kept = unpack_ids(branch.token_ids)
    assert kept[: place + 1] == [*ids[:place], other]
    assert len(kept) > place + 1
    assert branch.parent_id == answer.parent_id
    assert branch.cached_tokens is not None
    assert answer.prompt_tokens is not None
    assert branch.cached_tokens >= answer.prompt_tokens + place - 1
    assert unpack_logprobs(branch.token_logprobs)[:place] == unpack_logprobs(answer.token_logprobs)[:place]
    table = inside.get(f"tokens/{branch.id}")
    assert table["branch"] == {"from": answer.id, "at": place, "forced": 1}
    assert inside.get(f"provenance/{branch.id}")["message"]["by_hand"] == [[place, 1]]
    assert inside.store.messages.get(answer.id) == answer
    # The same token again is the same road.
    same = inside.finished(inside.post(f"branch/{answer.id}", {"index": place, "id": ids[place]})["message"])
    assert unpack_ids(same.token_ids)[: len(ids)] == ids
    [result] = inside.replayed(branch.id)
    assert result["verdict"] == "identical"
    assert result["tokens"] == len(kept) - 1


def test_own_words(inside: Inside, answer: Message) -> None:
    [single] = inside.post("words", {"text": " sun"})["tokens"]
    assert single["text"] == " sun"
    several = inside.post("words", {"text": " umbrellaless"})
    assert len(several["tokens"]) > 1
    assert "tokens" in several["note"]
    refused = inside.post(f"branch/{answer.id}", {"index": 1, "text": " umbrellaless"}, 400)
    assert "is 4 tokens" in refused["error"] or "tokens (" in refused["error"]
    assert "no token" in inside.post(f"branch/{answer.id}", {"index": 1, "text": ""}, 400)["error"]
    sent = inside.post(f"branch/{answer.id}", {"index": 1, "text": " umbrellaless", "several": True})
    branch = inside.finished(sent["message"])
    forced = [each["id"] for each in several["tokens"]]
    assert unpack_ids(branch.token_ids)[1 : 1 + len(forced)] == forced
    assert " umbrellaless" in branch.content


def test_text_that_came_without_probabilities_is_scored(inside: Inside, answer: Message) -> None:
    edited = inside.chats.edit(answer.id, "Rain is water that falls from clouds.")
    table = inside.get(f"tokens/{edited.message_id}")
    assert (table["count"], table["probabilities"], table["can_score"]) == (0, False, None)
    scored = inside.post(f"score/{edited.message_id}")
    assert "".join(scored["texts"]) == "Rain is water that falls from clouds."
    assert not inside.get(f"tokens/{edited.message_id}")["probabilities"]
    inside.post(f"score/{edited.message_id}", {"store": True})
    kept = inside.get(f"tokens/{edited.message_id}")
    assert kept["scored"]["digest"] == inside.backend.info.digest
    assert kept["logprobs"] == pytest.approx(scored["logprobs"], abs=1e-4)
    assert inside.get(f"provenance/{edited.message_id}")["written"] == "by hand"


def test_the_next_token_is_walked(inside: Inside) -> None:
    step = inside.post("next", {"text": "The capital of France is"})
    best = step["candidates"][0]
    assert best["text"] == " Paris"
    again = inside.post("next", {"ids": [*step["ids"], best["id"]], "settings": {"temperature": 0}})
    assert "".join(again["texts"]) == "The capital of France is Paris"
    assert again["reused"] == len(step["ids"])
    assert [each["kept"] for each in again["candidates"][:2]] == [True, False]
    with inside.client.stream("POST", "/inside/complete", json={"text": "One, two,", "max_tokens": 5}) as reply:
        events = reply.read().decode()
    assert events.count("event: token") == 5
    assert "event: done" in events
    chat = inside.ask("Name a colour.", seed=2)
    walked = inside.post("next", {"conversation": chat.conversation_id, "text": "Blue"})
    assert walked["prompt"] > 10
    assert walked["texts"][-1] == "Blue"


def test_a_token_is_looked_into(inside: Inside, answer: Message) -> None:
    told = inside.post(f"look/{answer.id}/3")
    ids = unpack_ids(answer.token_ids)
    assert told["chosen"]["id"] == ids[3]
    assert told["ids"][-3:] == ids[:3]
    assert told["position"] == len(told["ids"]) - 1
    assert len(told["texts"]) == len(told["ids"])
    assert (len(told["attention"]), len(told["attention"][0])) == (told["layers"], told["heads"])
    for layer in told["attention"]:
        for head in layer:
            assert len(head) == len(told["ids"])
            assert sum(head) == pytest.approx(1, abs=5e-5 * len(head))
    assert len(told["readouts"]) == told["layers"] + 1
    last = told["readouts"][-1]
    stored = unpack_logprobs(answer.token_logprobs)[3]
    assert last["chosen"] == pytest.approx(math.exp(stored.logprob or 0), abs=1e-3)
    assert last["rank"] == stored.rank
    again = inside.post("look", {"ids": told["ids"]})
    assert again["attention"] == told["attention"]
    assert again["chosen"]["id"] == last["top"][0]["id"]
    refused = inside.post(f"look/{answer.id}/{len(ids)}", status=400)
    assert f"here is no token {len(ids)}" in refused["error"]


def test_provenance_is_exact(inside: Inside, answer: Message) -> None:
    second = inside.ask("And about snow?", answer.conversation_id, temperature=0.5)
    told = inside.get(f"provenance/{second.id}")
    assert told["prompt"]["exact"] is True
    assert len(told["prompt"]["ids"]) == second.prompt_tokens == told["tokens"]["prompt"]
    assert "And about snow?" in told["prompt"]["text"]
    assert "<|im_start|>user" in told["prompt"]["text"]
    assert told["unknown"] == []
    came = {each["name"]: each["from"] for each in told["settings"]}
    assert came["temperature"] == "conversation"
    assert came["stop"] in ("preset", "model", "default")
    assert told["seed"] == str(second.seed)
    assert told["engine"]["deterministic"] is True
    assert {"in", "out", "policy", "known"} == set(told["sight"])
    assert [each["role"] for each in told["sight"]["in"]] == ["user", "assistant", "user"]
    assert all(value is not None for value in told["times"].values())
    old = inside.store.messages.update(second.id, extra={"system_prompt": ""})
    told = inside.get(f"provenance/{old.id}")
    assert told["prompt"]["exact"] is None
    assert len(told["unknown"]) == 2


def test_presets_are_compared_and_one_is_chosen(inside: Inside) -> None:
    text = "Describe this list: " + ", ".join(f"item {number}" for number in range(40)) + "."
    short = [{"temperature": each, "max_tokens": 6} for each in (0.0, 0.8, 1.2, 1.5)]
    presets = [inside.store.presets.save(f"Short {place}", each).id for place, each in enumerate(short)]
    question = inside.ask(text, max_tokens=6)
    made = inside.post("compare", {"message": question.parent_id, "presets": presets})
    answers = [inside.finished(each["message"]) for each in made["messages"]]
    assert [each.prompt_tokens - each.cached_tokens for each in answers] == [1] * 4  # type: ignore[operator]
    view = inside.get(f"comparison/{answers[0].id}")
    assert [each["message"] for each in view["answers"]] == [each.id for each in answers]
    assert len({each["seed"] for each in view["answers"]}) == 1
    assert 0 <= view["summary"]["similarity"] <= 1
    inside.post(f"pick/{answers[1].id}")
    assert inside.store.conversations.get(made["conversation"]).current_message_id == answers[1].id
    picked = [each["picked"] for each in inside.get(f"comparison/{answers[0].id}")["answers"]]
    assert picked == [False, True, False, False]
    spans = inside.get(f"difference/{answers[0].id}/{answers[1].id}")["spans"]
    assert "".join(text for kind, text in spans if kind != "only_b") == answers[0].content
    assert "".join(text for kind, text in spans if kind != "only_a") == answers[1].content
    swept = inside.post("compare", {"message": answers[0].id, "sweep": {"temperature": [0.0, 0.0, 1.5]}})
    ended = [inside.finished(each["message"]) for each in swept["messages"]]
    assert ended[0].content == ended[1].content
    assert ended[0].parent_id == answers[0].parent_id
    assert "not compared" in inside.post(f"pick/{answers[0].parent_id}", {}, 400)["error"]
