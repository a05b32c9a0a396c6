"""The store of one person has what belongs to that person, and nothing of anybody else's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.store import NotFound, Store, StoreError
from app.store.search import Filters
from app.store.users import User


class Things(NamedTuple):
    """What one person has, by its ids."""

    user: User
    store: Store
    conversation: str
    message: str
    answer: str
    event: str
    preset: str


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as store:
        yield store


def person(store: Store, name: str) -> Things:
    """Someone with an account, a chat with a tag, a deleted message, a preset and a key."""
    user, _ = store.users.add(name, "hash")
    own = store.of(user.id)
    preset = own.presets.save("Wild", {"temperature": 1.5})
    chat = own.conversations.create(title=f"{name}'s oaks", preset_id=preset.id)
    own.conversations.tag(chat.id, ["trees"])
    own.conversations.mark(chat.id, "oaks:1")
    message = own.messages.add(chat.id, parent_id=None, role="user", content=f"What is an oak, asks {name}?")
    answer = own.messages.add(chat.id, parent_id=message.id, role="assistant", content="A tree.", model=f"of-{name}")
    gone = own.messages.add(chat.id, parent_id=answer.id, role="user", content="Never mind.")
    event = own.branches.delete(gone.id)
    own.keys.add("editor")
    return Things(user, own, chat.id, message.id, answer.id, event, preset.id)


# How each method of a room that takes an id is called with another's; what is not here is looked for by the test.
BY_ID: dict[str, Callable[[Store, Things], Any]] = {
    "conversations.get": lambda own, their: own.conversations.get(their.conversation),
    "conversations.present": lambda own, their: own.conversations.present(their.conversation),
    "conversations.rename": lambda own, their: own.conversations.rename(their.conversation, "Mine"),
    "conversations.suggest_title": lambda own, their: own.conversations.suggest_title(
        their.conversation, "Mine", "model"
    ),
    "conversations.mark": lambda own, their: own.conversations.mark(their.conversation, "oaks:2"),
    "conversations.pin": lambda own, their: own.conversations.pin(their.conversation),
    "conversations.archive": lambda own, their: own.conversations.archive(their.conversation),
    "conversations.tag": lambda own, their: own.conversations.tag(their.conversation, ["mine"]),
    "conversations.delete": lambda own, their: own.conversations.delete(their.conversation),
    "conversations.restore": lambda own, their: own.conversations.restore(their.conversation),
    "conversations.configure": lambda own, their: own.conversations.configure(
        their.conversation, system_prompt="", preset_id=None, settings={}
    ),
    "conversations.reset": lambda own, their: own.conversations.reset(their.conversation),
    "conversations.select": lambda own, their: own.conversations.select(their.conversation, their.message),
    "conversations.create": lambda own, their: own.conversations.create(preset_id=their.preset),
    "messages.add": lambda own, their: own.messages.add(their.conversation, parent_id=None, role="user"),
    "messages.get": lambda own, their: own.messages.get(their.message),
    "messages.update": lambda own, their: own.messages.update(their.message, content="Mine"),
    "messages.path": lambda own, their: own.messages.path(their.conversation),
    "messages.siblings": lambda own, their: own.messages.siblings(their.message),
    "messages.leaf": lambda own, their: own.messages.leaf(their.message),
    "branches.present": lambda own, their: own.branches.present(their.message),
    "branches.show": lambda own, their: own.branches.show(their.message),
    "branches.delete": lambda own, their: own.branches.delete(their.message),
    "branches.copy": lambda own, their: own.branches.copy(their.conversation, own.conversations.create().id),
    "events.get": lambda own, their: own.events.get(their.event),
    "events.add": lambda own, their: own.events.add("pin", their.conversation, {}, {}),
    "events.extend": lambda own, their: own.events.extend("pin", their.conversation, {}, {}),
    "events.amend": lambda own, their: own.events.amend(their.event, {}),
    "events.undo": lambda own, their: own.events.undo(their.event),
    "presets.get": lambda own, their: own.presets.get(their.preset),
    "presets.duplicate": lambda own, their: own.presets.duplicate(their.preset),
    "presets.rename": lambda own, their: own.presets.rename(their.preset, "Mine"),
    "presets.delete": lambda own, their: own.presets.delete(their.preset),
    "trash.erase": lambda own, their: own.trash.erase(their.conversation),
}
# Those that find nothing of another's; with what they give for what is not there.
EMPTY: dict[str, tuple[Callable[[Store, Things], Any], Any]] = {
    "conversations.has": (lambda own, their: own.conversations.has(their.conversation), False),
    "conversations.some": (lambda own, their: own.conversations.some([their.conversation]), []),
    "conversations.list": (lambda own, their: own.conversations.list(), []),
    "conversations.list by a search": (lambda own, their: own.conversations.list(query="oak"), []),
    "conversations.list by a tag": (lambda own, their: own.conversations.list(filters=Filters(tag="trees")), []),
    "conversations.marked": (lambda own, their: own.conversations.marked("oaks:"), None),
    "conversations.ids": (lambda own, their: own.conversations.ids(), []),
    "conversations.tags": (lambda own, their: own.conversations.tags(their.conversation), []),
    "conversations.tags_of": (lambda own, their: own.conversations.tags_of([their.conversation]), {}),
    "conversations.all_tags": (lambda own, their: own.conversations.all_tags(), {}),
    "messages.tree": (lambda own, their: own.messages.tree(their.conversation), []),
    "messages.versions": (lambda own, their: dict(own.messages.versions(their.conversation, [None])), {}),
    "messages.models": (lambda own, their: own.messages.models(), []),
    "messages.search": (lambda own, their: own.messages.search("oak"), []),
    "messages.search in it": (
        lambda own, their: own.messages.search("oak", filters=Filters(conversation_id=their.conversation)),
        [],
    ),
    "messages.search as the other": (
        lambda own, their: own.messages.search("oak", filters=Filters(owner=their.user.id)),
        [],
    ),
    "events.latest": (lambda own, their: own.events.latest(their.conversation), None),
    "trash.conversations": (lambda own, their: own.trash.conversations(), []),
    "trash.messages": (lambda own, their: own.trash.messages(), []),
    "trash.empty": (lambda own, their: own.trash.empty(), 0),
    "trash.purge": (lambda own, their: own.trash.purge(1), 0),
    "keys.list": (lambda own, their: own.keys.list(), []),
    "presets.list": (lambda own, their: [each.builtin for each in own.presets.list()], [True, True, True]),
}
# What takes nothing of anybody's, is asked by the server itself, or is tested below.
OTHERWISE = {
    *("messages.grow", "messages.interrupt", "presets.of", "presets.save", "presets.add", "presets.restore"),
    *("keys.add", "keys.any", "keys.good", "keys.find", "keys.revoke"),
}
ROOMS = ("conversations", "messages", "branches", "events", "presets", "keys", "trash")


def test_every_method_of_a_room_is_told_of(store: Store) -> None:
    """Whoever adds one says here what it does with another's things."""
    there = {
        f"{room}.{name}"
        for room in ROOMS
        for name, _ in inspect.getmembers(getattr(store, room), inspect.ismethod)
        if not name.startswith("_")
    }
    told = {*BY_ID, *(name.split()[0] for name in EMPTY), *OTHERWISE}
    assert there == told


def dump(store: Store) -> list[str]:
    with store._database.read() as db:
        return list(db.conn.iterdump())


def test_what_belongs_to_another_is_not_there(store: Store) -> None:
    theirs = person(store, "Anna")
    own = store.of(store.users.add("Ben", "hash")[0].id)
    before = dump(store)
    for name, call in BY_ID.items():
        if name == "branches.copy":
            continue
        with pytest.raises(NotFound) as refused:
            call(own, theirs)
        assert "there is no" in str(refused.value), name
    for name, (call, nothing) in EMPTY.items():
        assert call(own, theirs) == nothing, name
    assert dump(store) == before
    with pytest.raises(NotFound):
        BY_ID["branches.copy"](own, theirs)


def test_two_people_see_each_their_own(store: Store) -> None:
    anna, ben = person(store, "Anna"), person(store, "Ben")
    for own, their in ((anna, ben), (ben, anna)):
        assert [each.id for each in own.store.conversations.list()] == [own.conversation]
        assert {hit.conversation_id for hit in own.store.messages.search("oak")} == {own.conversation}
        assert own.store.messages.models() == [f"of-{own.user.name}"]
        assert own.store.conversations.all_tags() == {"trees": 1}
        assert [each.event_id for each in own.store.trash.messages()] == [own.event]
        assert [each.name for each in own.store.presets.list()] == ["Balanced", "Creative", "Precise", "Wild"]
        assert [each.name for each in own.store.keys.list()] == ["editor"]
        assert own.preset != their.preset
    assert len(store.conversations.list()) == 2


def test_a_child_of_mine_has_no_parent_of_another(store: Store) -> None:
    anna, ben = person(store, "Anna"), person(store, "Ben")
    with pytest.raises(NotFound):
        ben.store.messages.add(ben.conversation, parent_id=anna.answer, role="user")
    with pytest.raises(NotFound):
        ben.store.messages.path(ben.conversation, leaf_id=anna.answer)
    with pytest.raises(NotFound):
        ben.store.conversations.select(ben.conversation, anna.answer)
    with pytest.raises(NotFound):
        ben.store.conversations.configure(ben.conversation, system_prompt="", preset_id=anna.preset, settings={})


def test_a_key_is_its_owners(store: Store) -> None:
    anna, ben = person(store, "Anna"), person(store, "Ben")
    key = anna.store.keys.add("script")
    found = store.keys.find(key)
    assert found
    assert found.owner == anna.user.id
    with pytest.raises(StoreError, match="no key is named"):
        ben.store.keys.revoke("script")
    assert store.keys.good(key)
    ben.store.keys.revoke("editor")
    assert [each.revoked_at is None for each in anna.store.keys.list()] == [True, True]


def test_a_preset_of_another_is_taken_in_as_a_copy(store: Store) -> None:
    anna, ben = person(store, "Anna"), person(store, "Ben")
    ben.store.presets.delete(ben.preset)
    id = ben.store.presets.restore(anna.store.presets.get(anna.preset))
    assert id != anna.preset
    assert ben.store.presets.get(id).settings == {"temperature": 1.5}


def test_emptying_the_trash_erases_nothing_of_another(store: Store) -> None:
    anna, ben = person(store, "Anna"), person(store, "Ben")
    erased = []
    store.trash.erase_too = lambda: erased.append(True)
    ben.store.conversations.delete(ben.conversation)
    assert ben.store.trash.empty() == 1
    assert erased == [True]
    anna.store.events.undo(anna.event)
    assert [each.content for each in anna.store.messages.path(anna.conversation)][2:] == ["Never mind."]


def test_the_first_user_takes_over_what_is_there(store: Store) -> None:
    preset = store.presets.save("Wild", {"temperature": 1.5})
    chat = store.conversations.create(title="Oaks", preset_id=preset.id)
    store.keys.add("editor")
    anna, taken = store.users.add("Anna", "hash")
    ben, more = store.users.add("Ben", "hash")
    assert (anna.admin, taken, ben.admin, more) == (True, 1, False, 0)
    own = store.of(anna.id)
    assert own.conversations.get(chat.id).preset_id == preset.id
    assert [each.name for each in own.keys.list()] == ["editor"]
    assert store.of(ben.id).conversations.list() == []
    with pytest.raises(StoreError, match="only administrator"):
        store.users.remove(anna.id, ben.id)


def test_what_a_removed_user_had_goes_to_the_heir(store: Store) -> None:
    anna, ben = person(store, "Anna"), person(store, "Ben")
    with pytest.raises(StoreError, match="must go to somebody"):
        store.users.remove(ben.user.id, None)
    key = ben.store.keys.add("script")
    assert store.users.remove(ben.user.id, anna.user.id) == 1
    assert {each.id for each in anna.store.conversations.list()} == {anna.conversation, ben.conversation}
    assert len(anna.store.presets.list()) == 5
    assert not store.keys.good(key)
    assert store.users.remove(anna.user.id, None) == 2
    assert not store.users.any()
    assert [each.owner for each in store.conversations.list()] == [None, None]
