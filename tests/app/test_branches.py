"""Editing, deleting, undoing, branching: whatever is done, the tree stays a tree and nothing written is lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.chats import Chats, ConversationBusy, EmptyMessage
from app.fake import ScriptedBackend
from app.store import NotFound, Store, StoreError
from app.store.events import EDIT_MESSAGE
from tests.app.serving import chatting, finish, run_of, stop_after, texts


def echo(messages: Any) -> list[str]:
    return [f"re: {messages[-1]['content']}"]


def talk(chats: Chats, store: Store, *questions: str) -> tuple[str, list[str]]:
    """A conversation with these questions answered: its id, and the ids of its messages."""
    id: str | None = None
    for question in questions:
        sent = chats.send(id, question)
        finish(chats, store, sent)
        id = sent.conversation_id
    assert id is not None
    return id, [message.id for message in store.messages.path(id)]


def test_an_edited_question_is_answered_again_beside_the_old_branch(store: Store) -> None:
    with chatting(store, ScriptedBackend(echo)) as chats:
        id, (first, *rest) = talk(chats, store, "one", "two")
        sent = chats.edit(first, "uno")
        finish(chats, store, sent)
        assert texts(store, id) == ["uno", "re: uno"]
        new = store.messages.get(str(sent.user_message_id))
        assert (new.edited, new.role, new.parent_id) == (True, "user", None)
        assert [message.id for message in store.messages.siblings(first)] == [first, new.id]
        store.branches.show(rest[-1])
        assert texts(store, id) == ["one", "re: one", "two", "re: two"]
        with pytest.raises(EmptyMessage):
            chats.edit(first, " ")


def test_an_edited_answer_is_kept_as_written_and_goes_into_the_next_prompt(store: Store) -> None:
    backend = ScriptedBackend(echo)
    with chatting(store, backend) as chats:
        id, (_, answer) = talk(chats, store, "one")
        sent = chats.edit(answer, "my own words")
        new = store.messages.get(sent.message_id)
        assert (new.content, new.edited, new.status, new.token_ids) == ("my own words", True, "complete", None)
        finish(chats, store, chats.send(id, "two"))
        assert [message["content"] for message in backend.requests[-1][0]] == ["one", "my own words", "two"]
        assert store.messages.get(answer).content == "re: one"


def test_an_edit_is_undone_and_nothing_is_lost(store: Store) -> None:
    with chatting(store, ScriptedBackend(echo)) as chats:
        id, (first, *_) = talk(chats, store, "one", "two")
        before = store.messages.path(id)
        finish(chats, store, chats.edit(first, "uno"))
        event = store.events.latest(id)
        assert event is not None
        assert event.kind == EDIT_MESSAGE
        store.events.undo(event.id)
        assert store.messages.path(id) == before
        assert [message.content for message in store.messages.siblings(first)] == ["one", "uno"]
        with pytest.raises(StoreError, match="undone already"):
            store.events.undo(event.id)


def test_deleting_shows_the_neighbouring_version_and_undo_brings_all_back(store: Store) -> None:
    with chatting(store, ScriptedBackend(echo)) as chats:
        id, (_, answer, second, _) = talk(chats, store, "one", "two")
        before = store.messages.path(id)
        again = finish(chats, store, chats.regenerate(answer))
        event = chats.delete(again.id)
        # The version beside it goes on to its own end.
        assert store.messages.path(id) == before
        assert store.messages.search("re one")[0].message_id == answer
        store.events.undo(event)
        assert store.messages.path(id)[-1].id == again.id

        store.branches.show(second)
        event = chats.delete(second)
        # The newest branch that is left below the parent.
        assert store.messages.path(id)[-1].id == answer
        for call in (chats.delete, chats.regenerate, chats.fork, chats.continue_answer, store.branches.show):
            with pytest.raises(NotFound):
                call(second)
        assert store.messages.search("two") == []
        [deleted] = store.trash.messages()
        assert (deleted.event_id, deleted.count, deleted.beginning) == (event, 2, "two")
        store.events.undo(event)
        assert store.messages.path(id) == before
        assert store.trash.messages() == []


def test_one_message_goes_and_what_follows_it_stays(store: Store) -> None:
    backend = ScriptedBackend(echo)
    with chatting(store, backend) as chats:
        id, (_, answer, *_) = talk(chats, store, "one", "two")
        before = store.messages.path(id)
        event = chats.delete(answer, subtree=False)
        assert texts(store, id) == ["one", "two", "re: two"]
        finish(chats, store, chats.send(id, "three"))
        # Two of one role in a row would be refused by many templates.
        assert [message["content"] for message in backend.requests[-1][0]] == ["one\n\ntwo", "re: two", "three"]
        store.events.undo(event)
        assert texts(store, id) == ["one", "re: one", "two", "re: two", "three", "re: three"]
        assert store.messages.path(id)[:4] == before


def test_deletions_are_undone_in_any_order(store: Store) -> None:
    with chatting(store, ScriptedBackend(echo)) as chats:
        id, (first, answer, second, _) = talk(chats, store, "one", "two")
        before = store.messages.path(id)
        for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)):
            events = [
                chats.delete(answer, subtree=False),
                chats.delete(first, subtree=False),
                chats.delete(second),
            ]
            assert texts(store, id) == []
            for place in order:
                store.events.undo(events[place])
            assert {message.id for message in store.messages.path(id, leaf_id=before[-1].id)} == {m.id for m in before}
            store.branches.show(before[-1].id)
            assert store.messages.path(id) == before


def test_a_question_whose_answer_was_deleted_is_answered_again(store: Store) -> None:
    with chatting(store, ScriptedBackend(echo)) as chats:
        id, (question, answer) = talk(chats, store, "one")
        chats.delete(answer)
        assert texts(store, id) == ["one"]
        finish(chats, store, chats.regenerate(question))
        assert texts(store, id) == ["one", "re: one"]


def test_a_branch_becomes_a_conversation_of_its_own(store: Store) -> None:
    with chatting(store, ScriptedBackend(echo)) as chats:
        id, (first, answer, *_) = talk(chats, store, "one", "two")
        store.conversations.configure(
            id, system_prompt="Be brief.", preset_id="precise", settings={"top_k": 3}, context_policy="refuse"
        )
        store.conversations.tag(id, ["work"])
        fork = chats.fork(answer)
        assert texts(store, fork.id) == ["one", "re: one"]
        original, copy = store.messages.get(answer), store.messages.get(store.messages.path(fork.id)[1].id)
        assert copy.extra == original.extra | {"copied_from": answer}
        for name in ("token_ids", "token_logprobs", "seed", "settings", "engine", "created_at", "model_digest"):
            assert getattr(copy, name) == getattr(original, name)
        assert (fork.system_prompt, fork.settings, fork.context_policy) == ("Be brief.", {"top_k": 3}, "refuse")
        assert store.conversations.tags(fork.id) == ["work"]
        finish(chats, store, chats.send(fork.id, "elsewhere"))
        assert texts(store, id) == ["one", "re: one", "two", "re: two"]

        finish(chats, store, chats.edit(first, "uno"))
        whole = chats.duplicate(id)
        assert texts(store, whole.id) == ["uno", "re: uno"]
        root = store.messages.path(whole.id)[0]
        assert [message.content for message in store.messages.siblings(root.id)] == ["one", "uno"]
        assert texts(store, id) == ["uno", "re: uno"]
        hits = {hit.conversation_id for hit in store.messages.search("two")}
        assert hits == {id, whole.id}


def test_while_a_chat_is_answered_its_tree_is_left_alone(store: Store) -> None:
    with chatting(store, ScriptedBackend(["x"] * 1000, pace=0.01)) as chats:
        sent = chats.send(None, "one")
        assert run_of(chats, sent).wait(0, 10)
        question = str(sent.user_message_id)
        for call in (
            lambda: chats.edit(question, "uno"),
            lambda: chats.delete(question),
            lambda: chats.regenerate(question),
        ):
            with pytest.raises(ConversationBusy):
                call()
        copy = chats.duplicate(sent.conversation_id)
        assert store.messages.path(copy.id)[-1].status == "interrupted"
        stop_after(chats, store, sent, 1)
        assert texts(store, sent.conversation_id)[0] == "one"


class Tree(RuleBasedStateMachine):
    """Random operations on one conversation; the model of what must be is the ids of all messages ever made."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp())
        self.store = Store.open(self.folder)
        self.service = chatting(self.store, ScriptedBackend(echo))
        self.chats = self.service.__enter__()
        self.made: dict[str, str] = {}
        self.events: list[str] = []
        self.id = ""

    @initialize()
    def begin(self) -> None:
        self.answered(self.chats.send(None, "begin"))

    def answered(self, sent: Any) -> None:
        self.id = sent.conversation_id
        if self.chats.live(sent.message_id):
            finish(self.chats, self.store, sent)
        for message in self.rows():
            self.made.setdefault(message["id"], message["content"])

    def rows(self) -> list[dict[str, Any]]:
        with self.store._database.read() as db:
            return list(db.query("SELECT * FROM messages WHERE conversation_id = ? ORDER BY id", [self.id]))

    def present(self, pick: int) -> str | None:
        there = [row["id"] for row in self.rows() if row["deleted_at"] is None]
        return there[pick % len(there)] if there else None

    def shape(self) -> tuple[Any, ...]:
        places = tuple((row["id"], row["parent_id"], row["deleted_at"] is None) for row in self.rows())
        return (*places, self.store.conversations.get(self.id).current_message_id)

    @rule(text=st.sampled_from(["one", "two", "three"]))
    def send(self, text: str) -> None:
        self.answered(self.chats.send(self.id, text))

    @rule(pick=st.integers(0, 50))
    def regenerate(self, pick: int) -> None:
        if id := self.present(pick):
            self.answered(self.chats.regenerate(id))

    @rule(pick=st.integers(0, 50), text=st.sampled_from(["edited", "again"]))
    def edit(self, pick: int, text: str) -> None:
        if id := self.present(pick):
            below = [row["id"] for row in self.rows()]
            self.answered(self.chats.edit(id, text))
            assert set(below) < set(self.made)
            assert self.store.messages.get(id).content == self.made[id]

    @rule(pick=st.integers(0, 50))
    def show(self, pick: int) -> None:
        if id := self.present(pick):
            self.store.branches.show(id)
            assert id in [message.id for message in self.store.messages.path(self.id)]

    @rule(pick=st.integers(0, 50), subtree=st.booleans())
    def delete(self, pick: int, subtree: bool) -> None:
        if id := self.present(pick):
            self.events.append(self.chats.delete(id, subtree=subtree))

    @rule(pick=st.integers(0, 50), subtree=st.booleans())
    def delete_and_undo(self, pick: int, subtree: bool) -> None:
        if id := self.present(pick):
            before = self.shape()
            self.store.events.undo(self.chats.delete(id, subtree=subtree))
            assert self.shape() == before

    @precondition(lambda self: self.events)
    @rule(pick=st.integers(0, 50))
    def undo(self, pick: int) -> None:
        event = self.events.pop(pick % len(self.events))
        before = self.shape()
        try:
            self.store.events.undo(event)
        except StoreError:
            # Only what stands below something deleted cannot come back by itself.
            assert self.shape() == before
            root = self.store.messages.get(self.store.events.get(event).before["message_id"])
            assert self.store.messages.get(str(root.parent_id)).deleted_at
            self.events.insert(0, event)

    @rule(pick=st.integers(0, 50))
    def fork(self, pick: int) -> None:
        if id := self.present(pick):
            path = [message.content for message in self.store.messages.path(self.id, leaf_id=id)]
            copy = self.chats.fork(id)
            assert texts(self.store, copy.id) == path

    @invariant()
    def it_is_a_tree_and_nothing_is_lost(self) -> None:
        rows = {row["id"]: row for row in self.rows()}
        assert {id: row["content"] for id, row in rows.items()} == self.made
        for row in rows.values():
            seen = {row["id"]}
            parent = row["parent_id"]
            if row["deleted_at"] is None:
                # A message that can be seen never hangs on one that cannot.
                assert parent is None or rows[parent]["deleted_at"] is None
            while parent is not None:
                assert parent not in seen
                seen.add(parent)
                parent = rows[parent]["parent_id"]
        if not self.id:
            return
        current = self.store.conversations.get(self.id).current_message_id
        path = self.store.messages.path(self.id)
        assert bool(path) == (current is not None)
        if path:
            assert path[-1].id == current
            assert [message.parent_id for message in path] == [None, *(message.id for message in path[:-1])]
            assert all(message.deleted_at is None for message in path)
        else:
            assert all(row["deleted_at"] for row in rows.values())

    def teardown(self) -> None:
        self.service.__exit__(None, None, None)
        self.store.close()
        shutil.rmtree(self.folder)


TestTree = Tree.TestCase
TestTree.settings = settings(max_examples=12, stateful_step_count=20)
