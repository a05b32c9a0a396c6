"""What the store tells of changes: each conversation that was written to, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.changes import Changes
from app.chats import Chats
from app.fake import ScriptedBackend
from app.store import NotFound, Store

from .serving import chatting, finish


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as store:
        yield store


@pytest.fixture
def told(store: Store) -> list[set[str]]:
    told: list[set[str]] = []
    store.when_changed(told.append)
    return told


def test_every_way_of_changing_a_conversation_is_told(store: Store, told: list[set[str]]) -> None:
    other = store.conversations.create(title="another")
    id = store.conversations.create(title="oak").id
    message = store.messages.add(id, parent_id=None, role="user", content="hello")
    told.clear()
    ways = [
        lambda: store.conversations.rename(id, "elm"),
        lambda: store.conversations.suggest_title(store.conversations.create().id, "ash", "model"),
        lambda: store.conversations.pin(id),
        lambda: store.conversations.archive(id),
        lambda: store.conversations.tag(id, ["tree"]),
        lambda: store.conversations.configure(id, system_prompt="Be brief.", preset_id=None, settings={}),
        lambda: store.messages.add(id, parent_id=message.id, role="assistant", content="hi"),
        lambda: store.messages.update(message.id, context="pinned"),
        lambda: store.branches.delete(message.id),
        lambda: store.conversations.delete(id),
        lambda: store.conversations.restore(id),
        lambda: store.conversations.delete(id),
        lambda: store.trash.erase(id),
    ]
    for way in ways:
        before = store.revision(id)
        way()
        assert told, "nothing was told"
        assert other.id not in set().union(*told)
        assert store.revision(id) > before or id not in set().union(*told)
        told.clear()


def test_what_is_undone_or_only_grows_is_not_told(store: Store, told: list[set[str]]) -> None:
    id = store.conversations.create().id
    message = store.messages.add(id, parent_id=None, role="assistant", status="streaming")
    told.clear()
    store.messages.update(message.id, content="longer and longer", status="streaming")
    with pytest.raises(NotFound), store.transaction():  # noqa: PT012 (what is rolled back)
        store.conversations.rename(id, "never")
        store.conversations.get("nothing")
    store.conversations.list()
    assert told == []


def test_a_listener_is_told_of_answers_that_begin_and_end(store: Store) -> None:
    with chatting(store, ScriptedBackend(["a ", "b"])) as chats:
        asyncio.run(_listens(store, chats))


async def _listens(store: Store, chats: Chats) -> None:
    changes = Changes(store, chats)
    listener = changes.listen()
    sent = await asyncio.to_thread(chats.send, None, "hello")
    seen = await listener.take(10)
    assert sent.conversation_id in seen
    await asyncio.to_thread(finish, chats, store, sent)
    while chats.running:
        await listener.take(1)
    changes.close()
    await listener.take(1)
    assert listener.ended
    changes.forget(listener)
