"""What the model sees of a conversation: by policy, by the user's choice, and told for every message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.context import ANSWER_SHARE, CONTEXT_FROM, OUT_OF_CONTEXT, TokenCounts, see
from app.fake import ScriptedBackend
from app.store import Message, Store
from app.store.records import column_names
from engine import ContextOverflow
from tests.app.serving import chatting, finish


def message(id: int, role: str, content: str, **columns: Any) -> Message:
    values: dict[str, Any] = dict.fromkeys(column_names(Message))
    values |= {"id": f"m{id:03}", "conversation_id": "c", "status": "complete", "extra": {}, "settings": {}}
    return Message(**(values | {"role": role, "content": content, **columns}))


def words(count: int) -> str:
    return "w " * count


LENGTHS = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["pinned", "excluded", None, None, None]))
)


@settings(max_examples=200)
@given(LENGTHS, st.integers(1, 90), st.sampled_from(["", "Be brief."]))
def test_the_oldest_turns_are_dropped_and_the_rest_fits(lengths: list[Any], last: int, system: str) -> None:
    path = []
    for number, (question, answer, context) in enumerate(lengths):
        path.append(message(2 * number, "user", words(question), context=context))
        path.append(message(2 * number + 1, "assistant", words(answer)))
    path.append(message(999, "user", words(last)))
    backend = ScriptedBackend(context=200)
    arguments: dict[str, Any] = {"system_prompt": system, "backend": backend, "counts": TokenCounts()}
    try:
        sight = see(path, policy="drop_oldest", **arguments)
    except ContextOverflow:
        kept = [m for m in path if m.context == "pinned" or m.id == "m999"]
        needed = backend.chat_tokens([{"role": m.role, "content": m.content} for m in kept])
        assert len(needed) + 5 >= 200
        return
    tokens = len(backend.chat_tokens(sight.prompt))
    assert tokens <= 199
    assert sight.tokens in (None, tokens)
    assert (sight.prompt[0]["role"] == "system") == bool(system)
    assert sight.prompt[-1]["content"].endswith(words(last))
    out = {m.id: sight.out.get(m.id) for m in path}
    dropped = [m.id for m in path if out[m.id] == "dropped"]
    assert {id for id, reason in out.items() if reason == "excluded"} == {m.id for m in path if m.context == "excluded"}
    assert not {m.id for m in path if m.context == "pinned"} & set(dropped)
    # Whole turns go, the oldest first.
    begins = [m.id for m in path].index(sight.begins) if sight.begins else 0
    assert set(dropped) == {m.id for m in path[:begins] if m.context is None}
    # Room is left for an answer, unless the last turn needs it.
    seen = [m for m in path if out[m.id] is None and m.context != "pinned"]
    if len(seen) > 1 and len({m.role for m in seen}) > 1 and begins < len(path) - 1:
        assert tokens <= 200 - int(200 * ANSWER_SHARE)
    # Nothing goes while all of it fits.
    everything = [m for m in path if m.context != "excluded"]
    if len(backend.chat_tokens(see(path, policy="refuse", **arguments).prompt)) <= 150:
        assert not dropped
    assert see(path, policy="refuse", **arguments).out.keys() == {m.id for m in path} - {m.id for m in everything}


def test_the_cut_stays_where_it_is_while_what_follows_fits() -> None:
    """Otherwise each message would move it, and the engine read the whole prompt anew each time."""
    backend, counts = ScriptedBackend(context=400), TokenCounts()
    path: list[Message] = []
    begins, cuts, moves = None, [], 0
    for number in range(60):
        path.append(message(2 * number, "user", words(9)))
        sight = see(path, system_prompt="", policy="drop_oldest", backend=backend, counts=counts, begins=begins)
        assert (sight.tokens or 0) <= 300
        moves += sight.begins != begins
        begins = sight.begins
        cuts.append(len([reason for reason in sight.out.values() if reason == "dropped"]))
        path.append(message(2 * number + 1, "assistant", words(9)))
    assert cuts == sorted(cuts)
    assert 4 <= moves <= 12


def test_counting_costs_no_more_in_a_longer_chat() -> None:
    class Counting(ScriptedBackend):
        counted = 0

        def tokenize(self, text: str) -> list[int]:
            self.counted += len(text)
            return super().tokenize(text)

        def chat_tokens(self, messages: Any, **options: Any) -> list[int]:
            self.counted += sum(len(one["content"]) for one in messages)
            return super().chat_tokens(messages, **options)

    costs = []
    for turns in (30, 300):
        backend = Counting(context=400)
        path = [message(number, ("user", "assistant")[number % 2], words(20)) for number in range(2 * turns)]
        see(path, system_prompt="", policy="drop_oldest", backend=backend, counts=TokenCounts())
        costs.append(backend.counted)
    assert costs[1] <= costs[0] * 1.2
    short = Counting(context=4000)
    see(path[:6], system_prompt="", policy="drop_oldest", backend=short, counts=TokenCounts())
    assert short.counted == 0


def test_each_policy_in_a_conversation_and_what_is_told(store: Store) -> None:
    backend = ScriptedBackend(["fine"], context=60)
    with chatting(store, backend) as chats:
        sent = chats.send(None, words(20), system_prompt="Be brief.")
        finish(chats, store, sent)
        id = sent.conversation_id
        assert (chats.next_answer.sight(id).begins, dict(chats.next_answer.sight(id).out)) == (None, {})
        finish(chats, store, chats.send(id, words(19)))
        later = finish(chats, store, chats.send(id, words(25)))
        assert [one["content"].count("w") for one in backend.requests[-1][0]] == [0, 25]
        path = store.messages.path(id)
        sight = chats.next_answer.sight(id)
        assert sight.begins == later.extra[CONTEXT_FROM] == path[4].id
        assert dict(sight.out) == {one.id: "dropped" for one in path[:4]}

        # One that is pinned comes along; one that is left out does not.
        store.messages.update(path[1].id, context="pinned")
        store.messages.update(path[4].id, context="excluded")
        finish(chats, store, chats.send(id, "short"))
        asked = [(one["role"], one["content"]) for one in backend.requests[-1][0]]
        assert asked[0] == ("system", "Be brief.")
        assert asked[1][0] == "assistant"
        assert not any("w" in content for _, content in asked)
        assert asked[-1] == ("user", "short")
        assert chats.next_answer.sight(id).out[path[4].id] == "excluded"

        conversation = store.conversations.get(id)
        store.conversations.configure(
            id,
            system_prompt="",
            preset_id=conversation.preset_id,
            settings={},
            context_policy="refuse",
        )
        refused = finish(chats, store, chats.send(id, words(40)))
        assert refused.status == "error"
        assert refused.extra[OUT_OF_CONTEXT]
        question = str(refused.parent_id)
        assert chats.next_answer.sight(id).out[question] == "too long"
        assert chats.next_answer.sight(id).out[refused.id] == "failed"
        assert store.messages.get(question).content == words(40)


def test_without_a_model_the_last_cut_is_told(store: Store) -> None:
    with chatting(store, ScriptedBackend(["fine"], context=60)) as chats:
        sent = chats.send(None, words(30))
        finish(chats, store, sent)
        finish(chats, store, chats.send(sent.conversation_id, words(20)))
        known = chats.next_answer.sight(sent.conversation_id)
    path = store.messages.path(sent.conversation_id)
    without = see(
        path,
        system_prompt="",
        policy="drop_oldest",
        backend=None,
        counts=TokenCounts(),
        begins=path[3].extra[CONTEXT_FROM],
    )
    assert (without.begins, without.out, without.tokens) == (known.begins, known.out, None)


def test_the_policy_is_one_of_two(store: Store) -> None:
    conversation = store.conversations.create()
    assert conversation.context_policy == "drop_oldest"
    with pytest.raises(Exception, match="drop_oldest or refuse"):
        store.conversations.create(context_policy="forget")  # type: ignore[arg-type]
