"""Messages form a tree, and every branch of it can be searched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.store import NotFound, Store
from app.store.search import MATCH_END, MATCH_START, fts_query, snippet_pieces
from app.store.text import storable

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


def add(store: Store, conversation_id: str, parent_id: str | None, content: str = "text") -> str:
    return store.messages.add(conversation_id, parent_id=parent_id, role="user", content=content).id


@settings(max_examples=30)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=25))
def test_paths_siblings_and_leaves_follow_the_parents(parents: list[int]) -> None:
    with TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        conversation = store.conversations.create()
        other = store.conversations.create()
        add(store, other.id, None)
        ids: list[str] = []
        parent_of: dict[str, str | None] = {}
        for parent in parents:
            parent_id = ids[parent] if parent < len(ids) else None
            ids.append(add(store, conversation.id, parent_id))
            parent_of[ids[-1]] = parent_id
            assert store.conversations.get(conversation.id).current_message_id == ids[-1]
        for id in ids:
            store.conversations.select(conversation.id, id)
            path = [message.id for message in store.messages.path(conversation.id)]
            assert path == [message.id for message in store.messages.path(conversation.id, leaf_id=id)]
            assert path[-1] == id
            assert [parent_of[one] for one in path] == [None, *path[:-1]]
            siblings = [message.id for message in store.messages.siblings(id)]
            assert siblings == [one for one in ids if parent_of[one] == parent_of[id]]
            leaf = store.messages.leaf(id).id
            assert leaf not in parent_of.values()
            assert id in [message.id for message in store.messages.path(conversation.id, leaf_id=leaf)]


def test_a_tree_does_not_reach_into_another(store: Store) -> None:
    one, other = store.conversations.create(), store.conversations.create()
    message = add(store, one.id, None)
    with pytest.raises(NotFound):
        add(store, other.id, message)
    with pytest.raises(NotFound):
        store.conversations.select(other.id, message)
    with pytest.raises(NotFound):
        store.messages.path(other.id, leaf_id=message)


def test_a_tree_bent_into_a_circle_still_ends(store: Store) -> None:
    conversation = store.conversations.create()
    first = add(store, conversation.id, None)
    second = add(store, conversation.id, first)
    with closing(sqlite3.connect(store.home / "fireside.db")) as stranger:
        stranger.execute("UPDATE messages SET parent_id = ? WHERE id = ?", (second, first))
        stranger.commit()
    assert {message.id for message in store.messages.path(conversation.id)} == {first, second}
    store.messages.leaf(first)


def test_listings_leave_the_blobs_out(store: Store) -> None:
    conversation = store.conversations.create()
    message = store.messages.add(
        conversation.id,
        parent_id=None,
        role="assistant",
        token_ids=b"\1\0\0\0",
        token_logprobs=b"\1\0",
        seed=2**63 - 1,
    )
    assert store.messages.get(message.id) == message
    assert (message.token_ids, message.token_logprobs) == (b"\1\0\0\0", b"\1\0")
    [listed] = store.messages.path(conversation.id)
    assert (listed.token_ids, listed.token_logprobs, listed.seed) == (None, None, 2**63 - 1)


def test_the_place_in_the_tree_is_fixed(store: Store) -> None:
    conversation = store.conversations.create()
    message = add(store, conversation.id, None)
    for column in ("conversation_id", "parent_id", "role", "content = '' --"):
        with pytest.raises(TypeError, match="no changeable column"):
            store.messages.update(message, **{column: "x"})
    updated = store.messages.update(message, content="new", engine={"device": "cpu"}, edited=True)
    assert (updated.content, updated.engine, updated.edited) == ("new", {"device": "cpu"}, True)


@settings(max_examples=100)
@given(ANY_TEXT)
def test_any_text_is_stored_and_searched_for(text: str) -> None:
    # One database for all examples would need no new file, but also keep what earlier ones left.
    with TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        conversation = store.conversations.create(title=text, system_prompt=text)
        message = store.messages.add(conversation.id, parent_id=None, role="user", content=text, extra={"error": text})
        assert message.content == storable(text)
        assert store.messages.get(message.id).content == storable(text)
        assert store.conversations.get(conversation.id).system_prompt == storable(text)
        store.messages.search(text)
        store.conversations.list(query=text)


@given(ANY_TEXT)
def test_storable_changes_nothing_but_surrogates(text: str) -> None:
    stored = storable(text)
    stored.encode()
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert stored == text
    assert storable("\ud83d\ude00") == "\U0001f600"
    assert storable("a\ud800b\udc00") == "a\ufffdb\ufffd"


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "AND",
        "a OR",
        "NEAR(",
        "*",
        "content:x",
        "-x",
        "^",
        "(",
        "x\0y",
        "\ud800",
        '""*"',
        "a" * 10_000,
        "",
    ],
)
def test_hostile_queries_find_nothing_and_do_no_harm(store: Store, query: str) -> None:
    conversation = store.conversations.create()
    add(store, conversation.id, None, "an ordinary message")
    assert store.messages.search(query) == []
    store.conversations.list(query=query)


@settings(max_examples=50)
@given(
    st.lists(st.text("abcdeé-_'\"*:()", min_size=1, max_size=8), min_size=1, max_size=8),
    st.data(),
)
def test_a_message_is_found_by_any_of_its_words(words: list[str], data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(words))
    with TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        conversation = store.conversations.create()
        message = add(store, conversation.id, None, " ".join(words))
        found = [hit.message_id for hit in store.messages.search(word)]
        assert found == ([message] if fts_query(word) else [])


def test_search_covers_all_branches_newest_first_with_snippets(store: Store) -> None:
    conversation = store.conversations.create(title="Trees")
    root = add(store, conversation.id, None, "Tell me about oaks, please")
    first = add(store, conversation.id, root, "An OAK is a tree.")
    second = add(store, conversation.id, root, "filler " * 50 + "The oak again <b>here</b> " + "filler " * 50)
    hits = store.messages.search("oak")
    assert [hit.message_id for hit in hits] == [second, first, root]
    assert ("oak", True) in hits[0].pieces
    assert "<b>here</b>" in hits[0].snippet
    assert len(hits[0].snippet) < 200
    assert (hits[1].title, hits[1].role, hits[1].snippet) == ("Trees", "user", "An OAK is a tree.")
    assert [hit.message_id for hit in store.messages.search("oak tree")] == [first]
    assert [hit.message_id for hit in store.messages.search("oak", limit=1)] == [second]
    store.messages.update(first, content="A beech")
    assert [hit.message_id for hit in store.messages.search("oak")] == [second, root]
    store.conversations.delete(conversation.id)
    assert store.messages.search("oak") == []


def test_the_index_survives_a_strangers_vacuum(store: Store) -> None:
    conversation = store.conversations.create()
    ids = [add(store, conversation.id, None, f"word{number}") for number in range(5)]
    store.close()
    with closing(sqlite3.connect(store.home / "fireside.db")) as stranger:
        stranger.execute("PRAGMA foreign_keys = ON")
        stranger.execute("DELETE FROM messages WHERE id = ?", (ids[1],))
        stranger.commit()
        stranger.execute("VACUUM")
        stranger.execute("INSERT INTO messages_fts (messages_fts) VALUES ('integrity-check')")
    with Store.open(store.home) as again:
        found = [[hit.message_id for hit in again.messages.search(f"word{number}")] for number in range(5)]
    assert found == [[ids[0]], [], [ids[2]], [ids[3]], [ids[4]]]


def test_snippet_pieces() -> None:
    marked = f"a {MATCH_START}b{MATCH_END} c{MATCH_START}d{MATCH_END}"
    assert snippet_pieces(marked) == (("a ", False), ("b", True), (" c", False), ("d", True))
    assert snippet_pieces("") == ()
    assert snippet_pieces(f"{MATCH_END}x{MATCH_START}") == (("x", False),)
