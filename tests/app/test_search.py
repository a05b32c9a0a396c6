"""Search inside messages: filters, branches, short words, and scripts that are written without spaces."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from app.store import Store
from app.store.search import Filters

CJK = "今天气好人東京かなカナー한국어"


def add(store: Store, conversation_id: str, content: str, role: str = "user", **columns: object) -> str:
    return store.messages.add(conversation_id, parent_id=None, role=role, content=content, **columns).id  # type: ignore[arg-type]


def found(store: Store, query: str, **filters: object) -> list[str]:
    return [hit.message_id for hit in store.messages.search(query, filters=Filters(**filters))]  # type: ignore[arg-type]


@settings(max_examples=60)
@given(st.text(CJK + "aB2 ,。", min_size=2, max_size=20), st.integers(0, 18), st.integers(2, 6))
def test_any_two_characters_in_a_row_are_found(text: str, start: int, length: int) -> None:
    with TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        conversation = store.conversations.create()
        id = add(store, conversation.id, text)
        part = text[start : start + length]
        if len(part) >= 2 and all(character in CJK for character in part):
            assert found(store, part) == [id]
            [hit] = store.messages.search(part)
            assert (part, True) in hit.pieces
        absent = part[::-1]
        if len(absent) >= 2 and all(character in CJK for character in absent) and absent not in text:
            assert found(store, absent) == []


def test_mixed_scripts_and_short_words(store: Store) -> None:
    conversation = store.conversations.create()
    mixed, latin = add(store, conversation.id, "GPU上的天气预报 第3章"), add(store, conversation.id, "Go west, quickly")
    for query in ("天气", "gpu", "gpu 天气", "上的天", "报", "第3章"):
        assert found(store, query) == [mixed]
    for query in ("go", "qu", "we", "west qu"):
        assert found(store, query) == [latin]
    assert found(store, "气天") == []
    store.messages.update(mixed, content="晴朗")
    assert (found(store, "天气"), found(store, "晴朗")) == ([], [mixed])


def test_filters(store: Store) -> None:
    one, two = store.conversations.create(), store.conversations.create()
    store.conversations.pin(two.id)
    store.conversations.tag(two.id, ["Work", "work", " home "])
    first = add(store, one.id, "oak")
    second = add(store, two.id, "oak", "assistant", model="tiny")
    assert found(store, "oak") == [second, first]
    assert found(store, "oak", role="user") == [first]
    assert found(store, "oak", model="tiny") == [second]
    assert found(store, "oak", pinned=False) == [first]
    assert found(store, "oak", tag="WORK") == found(store, "oak", conversation_id=two.id) == [second]
    assert found(store, "oak", since="2999") == found(store, "oak", until="2000-01-01") == []
    assert found(store, "oak", since="2000-01-01", until="2999") == [second, first]
    assert [each.id for each in store.conversations.list(filters=Filters(tag="home"))] == [two.id]
    assert store.conversations.all_tags() == {"home": 1, "work": 1}


def test_a_hit_in_another_branch_is_shown(store: Store) -> None:
    conversation = store.conversations.create()
    hidden, shown = add(store, conversation.id, "a hidden oak"), add(store, conversation.id, "in view")
    assert [message.id for message in store.messages.path(conversation.id)] == [shown]
    [hit] = store.messages.search("oak")
    store.branches.show(hit.message_id)
    assert [message.id for message in store.messages.path(conversation.id)] == [hidden]


def test_filters_reach_below_newer_matches_and_narrow_the_list(store: Store) -> None:
    old, new = store.conversations.create(title="Old"), store.conversations.create(title="New oak")
    first = add(store, old.id, "oak", "assistant", model="tiny")
    for _ in range(5):
        last = add(store, new.id, "oak")
    assert [hit.message_id for hit in store.messages.search("oak", 1, Filters(model="tiny"))] == [first]
    assert [hit.message_id for hit in store.messages.search("oak", 1, Filters(conversation_id=old.id))] == [first]
    assert [hit.message_id for hit in store.messages.search("oak", 1)] == [last]
    listed = [each.id for each in store.conversations.list(query="oak", filters=Filters(model="tiny"))]
    # The title of the other has the word, but no message of that model.
    assert listed == [old.id]
    assert store.conversations.list(query="oak", filters=Filters(until="2000-01-01")) == []


def test_an_excerpt_shows_where_most_of_the_words_are(store: Store) -> None:
    conversation = store.conversations.create()
    add(store, conversation.id, "oak " + "leaf " * 2_000 + "an oak and an elm stand here " + "leaf " * 500)
    [hit] = store.messages.search("elm oak")
    assert [text for text, match in hit.pieces if match] == ["oak", "elm"]
    assert hit.snippet.startswith("…leaf")
    assert hit.snippet.endswith("…")
    assert len(hit.snippet) <= 122
    [hit] = store.messages.search("stan")
    assert ("stand", True) in hit.pieces
