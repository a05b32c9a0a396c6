"""Titles: the first words at once, the model's own later, the user's for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import pytest

from app.chats import Chats
from app.fake import ScriptedBackend
from app.store import Store
from app.titles import BEGINNING, Titles, cleaned
from tests.app.serving import LIMIT_SECONDS, chatting, finish, run_of
from tests.turnstile import crowded


def script(messages: Any) -> list[str]:
    return ["“Sparks ", "in the dark”", "\n", "more"] if messages[-1]["content"] == BEGINNING else ["answer"]


@contextmanager
def titling(store: Store, backend: ScriptedBackend) -> Iterator[Chats]:
    with chatting(store, backend) as chats:
        titles = Titles(store, chats._models, chats.answers)
        try:
            yield chats
        finally:
            titles.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + LIMIT_SECONDS
    while not condition():
        assert monotonic() < deadline
        sleep(0.01)


def test_the_model_writes_a_title_and_a_users_is_kept(store: Store) -> None:
    backend = ScriptedBackend(script)
    with titling(store, backend) as chats:
        sent = chats.send(None, "Tell me of a fire")
        assert store.conversations.get(sent.conversation_id).title == "Tell me of a fire"
        finish(chats, store, sent)
        wait_until(lambda: store.conversations.get(sent.conversation_id).title_by == "model")
        assert store.conversations.get(sent.conversation_id).title == "Sparks in the dark"
        store.conversations.rename(sent.conversation_id, "Mine")
        asked = len(backend.requests)
        finish(chats, store, chats.send(sent.conversation_id, "More"))
        store.conversations.suggest_title(sent.conversation_id, "Not mine", "model")
        assert store.conversations.get(sent.conversation_id).title == "Mine"
        sleep(0.1)
        assert len(backend.requests) == asked + 1


def test_no_title_is_written_where_it_is_not_wanted(store: Store) -> None:
    store.preferences.set("automatic_titles", False)
    backend = ScriptedBackend(script)
    with titling(store, backend) as chats:
        sent = chats.send(None, "Hello")
        finish(chats, store, sent)
        sleep(0.2)
        assert len(backend.requests) == 1
        assert store.conversations.get(sent.conversation_id).title == "Hello"


def test_an_answer_that_begins_ends_the_writing_of_a_title(store: Store) -> None:
    def slow(messages: Any) -> list[str]:
        return ["slow "] * 500 if messages[-1]["content"] == BEGINNING else ["answer"]

    backend = ScriptedBackend(slow)
    with titling(store, backend) as chats:
        backend.pace = lambda number: 0.01
        sent = chats.send(None, "Hello", settings={"max_tokens": 3})
        finish(chats, store, sent)
        wait_until(lambda: len(backend.requests) == 2)
        again = chats.send(sent.conversation_id, "Quick")
        begun = monotonic()
        assert run_of(chats, again).wait(0, LIMIT_SECONDS)
        assert monotonic() - begun < 2 * crowded()
        finish(chats, store, again)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Title: **Sparks**", "Sparks"),
        ('\n"The Fire."\nand more', "The Fire"),
        ("# 天气预报", "天气预报"),
        ("...", ""),
        ("", ""),
        ("word " * 13, ""),
        ("x" * 100, "x" * 47 + "…"),
    ],
)
def test_what_a_model_writes_is_made_a_title(text: str, title: str) -> None:
    assert cleaned(text) == title
