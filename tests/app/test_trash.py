"""What was deleted comes back until it is erased; what was erased is nowhere in the file."""

from __future__ import annotations

import pytest

from app.fake import ScriptedBackend
from app.store import NotFound, Store, StoreError
from tests.app.serving import chatting, finish

CANARY = "zephyrine quokka 秘密天气"


def traces(store: Store) -> list[str]:
    """The words that are anywhere in the database's files, by their bytes."""
    raw = b"".join(path.read_bytes() for path in store.home.glob("fireside.db*"))
    return [word for word in ("zephyrine", "quokka", "秘密天气", "密天") if word.encode() in raw]


def converse(store: Store) -> tuple[str, list[str]]:
    with chatting(store, ScriptedBackend([CANARY])) as chats:
        sent = chats.send(None, CANARY, system_prompt=CANARY)
        finish(chats, store, sent)
        for number in range(20):
            finish(chats, store, chats.send(sent.conversation_id, f"{CANARY} {number}"))
    return sent.conversation_id, [message.id for message in store.messages.path(sent.conversation_id)]


@pytest.mark.parametrize("one", [True, False])
def test_an_erased_conversation_leaves_no_trace(store: Store, one: bool) -> None:
    kept = store.conversations.create(title="Kept")
    store.messages.add(kept.id, parent_id=None, role="user", content="still here")
    id, _ = converse(store)
    assert len(traces(store)) == 4
    with pytest.raises(NotFound, match="trash"):
        store.trash.erase(id)
    store.conversations.delete(id)
    assert [conversation.id for conversation in store.trash.conversations()] == [id]
    assert store.messages.search("quokka") == []
    if one:
        store.trash.erase(id)
    else:
        assert store.trash.empty() == 1
    assert traces(store) == []
    assert [hit.conversation_id for hit in store.messages.search("still here")] == [kept.id]
    with pytest.raises(NotFound):
        store.conversations.get(id)


def test_erased_messages_leave_no_trace_and_the_rest_stays(store: Store) -> None:
    conversation = store.conversations.create(title="Mixed")
    ids: list[str | None] = [None]
    for text in ("first", CANARY, "third", CANARY):
        ids.append(store.messages.add(conversation.id, parent_id=ids[-1], role="user", content=text).id)
    events = [store.branches.delete(str(ids[2]), subtree=False), store.branches.delete(str(ids[4]))]
    assert store.trash.empty() == 2
    assert traces(store) == []
    assert [message.content for message in store.messages.path(conversation.id)] == ["first", "third"]
    for event in events:
        with pytest.raises(StoreError):
            store.events.undo(event)


def test_the_trash_keeps_for_as_long_as_it_is_told(store: Store) -> None:
    conversation = store.conversations.create(title=CANARY)
    store.conversations.delete(conversation.id)
    assert store.preferences.get("trash_days") == 30
    assert store.trash.purge(30) == 0
    with store._database.write() as db:
        db.execute("UPDATE conversations SET deleted_at = '2020-01-01T00:00:00.000+00:00'")
    assert store.trash.purge(0) == 0
    assert store.trash.purge(30) == 1
    assert traces(store) == []


def test_preferences_are_of_their_kind(store: Store) -> None:
    store.preferences.set("trash_days", 7)
    assert store.preferences.get("trash_days") == 7
    for name, value in (("trash_days", "7"), ("trash_days", -1), ("nonsense", 1), ("automatic_titles", 1)):
        with pytest.raises(StoreError):
            store.preferences.set(name, value)
