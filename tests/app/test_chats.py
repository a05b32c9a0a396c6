"""Sending, answering, stopping, failing: what the store holds afterwards, with a scripted engine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import sleep

import pytest

from app import answer, saver
from app.backend import Backend, Message
from app.chats import (
    MAX_CHARACTERS,
    ChatError,
    Chats,
    ConversationBusy,
    EmptyMessage,
    MessageTooLong,
    Sent,
)
from app.fake import ScriptedBackend, token_of
from app.live import LiveRun
from app.models import Models
from app.store import Message as StoredMessage
from app.store import NotFound, Store
from app.store.tokens import unpack_ids, unpack_logprobs
from app.titles import title_of
from engine import EngineError, InvalidSampling

LIMIT_SECONDS = 20.0
Start = Callable[..., Chats]


def loader_of(backend: Backend, gate: threading.Event | None = None) -> Callable[..., Backend]:
    def load(path: Path, *, on_progress: Callable[[float], None]) -> Backend:
        if gate is not None:
            assert gate.wait(LIMIT_SECONDS)
        return backend

    return load


@pytest.fixture
def start(store: Store, tmp_path: Path) -> Iterator[Start]:
    """Start a chat service with this backend; with a gate, its model loads until the gate is set."""
    started: list[tuple[Chats, Models]] = []
    before = set(threading.enumerate())

    def start(backend: Backend, gate: threading.Event | None = None) -> Chats:
        file = tmp_path / "model.gguf"
        file.touch()
        models = Models(tmp_path, str(file), loader=loader_of(backend, gate))
        started.append((Chats(store, models), models))
        return started[-1][0]

    yield start
    for chats, models in started:
        chats.close()
        models.close()
    alive = [
        thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith(("answer", "saver"))
    ]
    assert alive == []


def run_of(chats: Chats, sent: Sent) -> LiveRun:
    live = chats.live(sent.message_id)
    assert live is not None
    return live


def wait_for_text(chats: Chats, sent: Sent) -> LiveRun:
    live = run_of(chats, sent)
    assert live.wait(0, LIMIT_SECONDS)
    return live


def finish(chats: Chats, store: Store, sent: Sent) -> StoredMessage:
    live = run_of(chats, sent)
    position = 0
    while not live.done:
        assert live.wait(position, LIMIT_SECONDS)
        *_, position = live.shown_from(position)
    return store.messages.get(sent.message_id)


def test_an_answer_is_kept_with_all_that_made_it(store: Store, start: Start) -> None:
    pieces = ["The", " capital", " is", " Paris", "."]
    backend = ScriptedBackend(pieces, name="tiny")
    chats = start(backend)
    sent = chats.send(None, "What is the capital of France?", settings={"seed": 7}, system_prompt="Be brief.")
    message = finish(chats, store, sent)
    assert (message.content, message.status, message.finish_reason) == (
        "The capital is Paris.",
        "complete",
        "stop",
    )
    assert (message.model, message.model_digest, message.seed) == ("tiny", backend.info.digest, 7)
    assert message.settings | {"seed": 7, "temperature": 0.7, "max_tokens": 512} == message.settings
    assert "logprobs" not in message.settings
    assert message.engine["kernels"] == "scripted"
    assert message.extra["system_prompt"] == "Be brief."
    assert (message.prompt_tokens, message.cached_tokens, message.new_tokens) == (10, 0, 5)
    for time in (message.queue_ms, message.prefill_ms, message.decode_ms, message.ttft_ms):
        assert time is not None
        assert time >= 0
    assert unpack_ids(message.token_ids) == [token_of(piece) for piece in pieces]
    assert [len(token.top) for token in unpack_logprobs(message.token_logprobs)] == [5] * 5
    [(asked, sampling)] = backend.requests
    assert asked == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the capital of France?"},
    ]
    assert (sampling.seed, sampling.logprobs) == (7, 5)
    conversation = store.conversations.get(sent.conversation_id)
    assert (conversation.title, conversation.settings) == ("What is the capital of France?", {"seed": 7})
    assert [one.id for one in store.messages.path(conversation.id)] == [sent.user_message_id, sent.message_id]
    live = run_of(chats, sent)
    assert (live.phase, live.error, live.shown_from(4)) == ("done", None, ("", "capital is Paris.", 21))
    assert live.stats["new_tokens"] == 5
    assert chats.live_in(conversation.id) is None


def test_the_message_is_committed_before_the_model_is_asked(store: Store, start: Start) -> None:
    found: list[str] = []

    def look(messages: object) -> list[str]:
        [conversation] = store.conversations.list()
        found.extend(f"{one.role} {one.status} {one.content}" for one in store.messages.path(conversation.id))
        return ["ok"]

    chats = start(ScriptedBackend(look))
    finish(chats, store, chats.send(None, "Hello"))
    assert found == ["user complete Hello", "assistant streaming "]


def test_a_growing_answer_is_saved_within_a_second(store: Store, start: Start) -> None:
    chats = start(ScriptedBackend(["First", " second"], pace=lambda number: number * 1000.0))
    sent = chats.send(None, "Hello")
    wait_for_text(chats, sent)
    sleep(saver.SAVE_SECONDS + 0.5)
    message = store.messages.get(sent.message_id)
    assert (message.content, message.status, message.new_tokens) == ("First", "streaming", 1)
    assert (message.model, message.engine["device"]) == ("scripted", "cpu")
    chats.stop(sent.conversation_id)
    assert finish(chats, store, sent).content == "First"


def test_a_fast_answer_is_saved_every_32_tokens(store: Store, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saver, "SAVE_SECONDS", 1000.0)
    chats = start(ScriptedBackend(["x"] * 40 + ["y"] * 400, pace=0.005))
    sent = chats.send(None, "Hello")
    live = run_of(chats, sent)
    assert live.wait(60, LIMIT_SECONDS)
    assert len(store.messages.get(sent.message_id).content) >= saver.SAVE_TOKENS
    chats.stop(sent.conversation_id)
    finish(chats, store, sent)


def test_two_conversations_at_once_do_not_mix(store: Store, start: Start) -> None:
    def echo(messages: Sequence[Message]) -> list[str]:
        return [f"{messages[-1]['content']} "] * 60

    backend = ScriptedBackend(echo, pace=0.002)
    chats = start(backend)
    sent = {word: chats.send(None, word) for word in ("red", "green", "blue", "white")}
    for word, one in sent.items():
        message = finish(chats, store, one)
        assert message.content == f"{word} " * 60
        assert message.conversation_id == one.conversation_id
        assert [m.content for m in store.messages.path(one.conversation_id)] == [word, f"{word} " * 60]


def test_one_answer_at_a_time_in_a_conversation(store: Store, start: Start) -> None:
    chats = start(ScriptedBackend(["x"] * 1000, pace=0.01))
    sent = chats.send(None, "Hello")
    for call in (lambda: chats.send(sent.conversation_id, "More"), lambda: chats.regenerate(sent.message_id)):
        with pytest.raises(ConversationBusy):
            call()
    assert chats.live_in(sent.conversation_id) is chats.live(sent.message_id)
    assert chats.stop(sent.conversation_id)
    finish(chats, store, sent)
    assert not chats.stop(sent.conversation_id)
    assert len(store.messages.path(sent.conversation_id)) == 2


def test_a_stopped_answer_is_kept_and_goes_into_the_next_prompt(store: Store, start: Start) -> None:
    backend = ScriptedBackend(["part "] * 1000, pace=0.01)
    chats = start(backend)
    sent = chats.send(None, "Hello")
    wait_for_text(chats, sent)
    assert chats.stop(sent.conversation_id)
    message = finish(chats, store, sent)
    assert (message.status, message.finish_reason) == ("stopped", "cancelled")
    assert 0 < len(message.content) < 5000
    assert len(unpack_ids(message.token_ids)) == message.new_tokens == message.content.count("part")
    backend.script = ["Done"]
    finish(chats, store, chats.send(sent.conversation_id, "Go on"))
    assert [one["content"] for one in backend.requests[-1][0]] == ["Hello", message.content, "Go on"]


def test_a_run_waits_for_the_model(store: Store, start: Start) -> None:
    gate = threading.Event()
    chats = start(ScriptedBackend(["Ready"]), gate)
    waiting, stopped = chats.send(None, "Hello"), chats.send(None, "Never mind")
    assert run_of(chats, waiting).phase == "waiting"
    assert chats.stop(stopped.conversation_id)
    message = finish(chats, store, stopped)
    assert (message.status, message.content, message.model) == ("stopped", "", None)
    assert run_of(chats, waiting).phase == "waiting"
    gate.set()
    assert finish(chats, store, waiting).content == "Ready"


def test_a_model_that_cannot_be_loaded_is_one_line(store: Store, tmp_path: Path) -> None:
    models = Models(tmp_path, str(tmp_path / "absent.gguf"))
    chats = Chats(store, models)
    try:
        message = finish(chats, store, chats.send(None, "Hello"))
        assert message.status == "error"
        assert "absent.gguf" in message.extra["error"]
    finally:
        chats.close()
        models.close()


def test_asking_again_tries_the_model_again(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    models = Models(tmp_path, str(file), loader=loader_of(ScriptedBackend(["Here I am."])))
    chats = Chats(store, models)
    try:
        failed = chats.send(None, "Hello")
        assert finish(chats, store, failed).status == "error"
        file.touch()
        assert finish(chats, store, chats.regenerate(failed.message_id)).content == "Here I am."
    finally:
        chats.close()
        models.close()


def test_overflow_is_told_and_the_message_kept(store: Store, start: Start) -> None:
    backend = ScriptedBackend(context=100)
    chats = start(backend)
    sent = chats.send(None, "word " * 100)
    message = finish(chats, store, sent)
    assert message.status == "error"
    assert "102 tokens" in message.extra["error"]
    assert "100" in message.extra["error"]
    assert run_of(chats, sent).error == message.extra["error"]
    assert sent.user_message_id is not None
    assert store.messages.get(sent.user_message_id).content == "word " * 100
    backend.info = ScriptedBackend(context=1000).info
    again = chats.regenerate(sent.message_id)
    assert finish(chats, store, again).status == "complete"
    assert again.user_message_id == sent.user_message_id
    assert [one.id for one in store.messages.siblings(again.message_id)] == [
        sent.message_id,
        again.message_id,
    ]
    # The failed answer is left out of the prompt.
    finish(chats, store, chats.send(sent.conversation_id, "Thanks"))
    assert [one["role"] for one in backend.requests[-1][0]] == ["user", "assistant", "user"]


def test_after_an_overflow_a_shorter_message_is_answered(store: Store, start: Start) -> None:
    backend = ScriptedBackend(context=100)
    chats = start(backend)
    sent = chats.send(None, "word " * 100)
    assert "does not see this message" in finish(chats, store, sent).extra["error"]
    following = chats.send(sent.conversation_id, "Hello")
    assert finish(chats, store, following).status == "complete"
    assert backend.requests[-1][0] == [{"role": "user", "content": "Hello"}]
    assert store.messages.path(sent.conversation_id)[0].content == "word " * 100


def test_an_engine_that_fails_in_mid_answer_keeps_the_text(store: Store, start: Start) -> None:
    chats = start(ScriptedBackend(["a", "b", "c", "d"], error=EngineError("out of\nluck"), error_at=2))
    message = finish(chats, store, chats.send(None, "Hello"))
    assert (message.content, message.status, message.extra["error"]) == ("ab", "error", "out of luck")
    assert len(unpack_ids(message.token_ids)) == 2


def test_a_defect_is_logged_and_told_in_one_line(store: Store, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    def fail(messages: object) -> list[str]:
        raise ZeroDivisionError("by\nzero")

    chats = start(ScriptedBackend(fail))
    with caplog.at_level(logging.ERROR, answer.__name__):
        message = finish(chats, store, chats.send(None, "Hello"))
    assert message.extra["error"] == "unexpected ZeroDivisionError: by zero"
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("text", ["", " \n\t ", "\u3000"])
def test_an_empty_message_is_refused(store: Store, start: Start, text: str) -> None:
    with pytest.raises(EmptyMessage):
        start(ScriptedBackend()).send(None, text)
    assert store.conversations.list() == []


def test_a_message_too_long_is_refused_with_figures(store: Store, start: Start) -> None:
    chats = start(ScriptedBackend(context=2_000_000))
    with pytest.raises(MessageTooLong, match="1,100,001 characters, but at most 1,100,000"):
        chats.send(None, "x" * (MAX_CHARACTERS + 1))
    assert store.conversations.list() == []
    assert finish(chats, store, chats.send(None, "x" * MAX_CHARACTERS)).status == "complete"


def test_bad_settings_and_unknown_ids_store_nothing(store: Store, start: Start) -> None:
    chats = start(ScriptedBackend())
    with pytest.raises(InvalidSampling):
        chats.send(None, "Hello", settings={"temperature": -1})
    for call in (
        lambda: chats.send("nonsense", "Hello"),
        lambda: chats.send(None, "Hello", preset_id="nonsense"),
        lambda: chats.regenerate("nonsense"),
    ):
        with pytest.raises(NotFound):
            call()
    assert store.conversations.list() == []
    sent = chats.send(None, "Hello")
    finish(chats, store, sent)


def test_strange_characters_are_stored_and_answered(store: Store, start: Start) -> None:
    chats = start(ScriptedBackend(["\0", "\ud800", "\U0001f600"]))
    sent = chats.send(None, "nul \0 lone \udfff pair \ud83d\ude00")
    assert finish(chats, store, sent).content == "\0\ufffd\U0001f600"
    assert sent.user_message_id is not None
    assert store.messages.get(sent.user_message_id).content == "nul \0 lone \ufffd pair \U0001f600"


def test_what_is_sent_with_a_message_becomes_the_conversations(store: Store, start: Start) -> None:
    backend = ScriptedBackend()
    chats = start(backend)
    conversation = store.conversations.create()
    finish(chats, store, chats.send(conversation.id, "Hello", preset_id="precise", settings={"top_k": 3}))
    finish(chats, store, chats.send(conversation.id, "Again"))
    assert [(s.temperature, s.top_k) for _, s in backend.requests] == [(0.2, 3), (0.2, 3)]
    conversation = store.conversations.get(conversation.id)
    assert (conversation.title, conversation.preset_id) == ("Hello", "precise")


def test_deleting_the_conversation_ends_its_answer(store: Store, start: Start) -> None:
    chats = start(ScriptedBackend(["x"] * 100_000, pace=0.01))
    sent = chats.send(None, "Hello")
    wait_for_text(chats, sent)
    store.conversations.delete(sent.conversation_id)
    assert finish(chats, store, sent).status == "stopped"
    with pytest.raises(NotFound):
        chats.send(sent.conversation_id, "Hello?")


def test_an_answer_whose_message_is_gone_ends_quietly(
    store: Store, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    chats = start(ScriptedBackend(["x"] * 100_000, pace=0.01))
    sent = chats.send(None, "Hello")
    live = wait_for_text(chats, sent)
    with store._database.write() as db:
        db.execute("DELETE FROM messages WHERE id = ?", [sent.user_message_id])
    position = 0
    while not live.done:
        assert live.wait(position, LIMIT_SECONDS)
        *_, position = live.shown_from(position)
    assert live.error is None
    assert store.messages.path(sent.conversation_id) == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_closing_saves_what_there_is_as_interrupted(store: Store, start: Start) -> None:
    chats = start(ScriptedBackend(["x"] * 100_000, pace=0.01))
    sent = chats.send(None, "Hello")
    live = wait_for_text(chats, sent)
    chats.close()
    message = store.messages.get(sent.message_id)
    assert message.status == "interrupted"
    assert message.content == live.shown_from(0)[1] != ""
    with pytest.raises(ChatError, match="shutting down"):
        chats.send(None, "More")


def test_closing_does_not_wait_for_an_engine_that_hangs(store: Store, start: Start) -> None:
    gate = threading.Event()

    def hang(messages: object) -> list[str]:
        gate.wait(LIMIT_SECONDS)
        return ["too late"]

    chats = start(ScriptedBackend(hang))
    sent = chats.send(None, "Hello")
    chats.close(timeout=0.2)
    assert store.messages.get(sent.message_id).status == "interrupted"
    gate.set()


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Hello", "Hello"),
        ("  What\n is  this? ", "What is this?"),
        ("word " * 30, "word word word word word word word word word…"),
        ("x" * 100, "x" * 47 + "…"),
        ("a" * 40 + ", and then some", "a" * 40 + ", and…"),
    ],
)
def test_titles(text: str, title: str) -> None:
    assert title_of(text) == title
    assert len(title) <= 49
