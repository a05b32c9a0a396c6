"""Another model without a restart: answers end first, questions wait, what cannot be loaded gives way to the old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.backend import Backend
from app.chats import Chats
from app.fake import ScriptedBackend
from app.models import Models, ModelState
from app.store import Store
from engine import Engine, EngineError
from tests.app.serving import LIMIT_SECONDS, finish, run_of
from tests.tiny import write_tiny_llama

Ended = Callable[[ModelState], bool]


def wait_until(models: Models, condition: Ended) -> ModelState:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition(state := models.state):
        assert time.monotonic() < deadline, state
        time.sleep(0.01)
    return state


class Shop:
    """Models by the names of their files: `slow` writes 40 words, `quick` a few, `broken` cannot be loaded.

    gate: holds up every load but the first while it is not set. backends: that were loaded, in order.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.backends: list[ScriptedBackend] = []
        for name in ("slow", "quick", "broken"):
            (folder / f"{name}.gguf").write_bytes(b"GGUF")
        self.folder = folder
        self.models = Models(folder, str(folder / "slow.gguf"), loader=self.load)
        self.chats = Chats(store, self.models)
        self.models.backend(LIMIT_SECONDS)

    def load(self, path: Path, *, on_progress: Callable[[float], None]) -> Backend:
        assert not self.backends or self.gate.wait(LIMIT_SECONDS)
        if path.stem == "broken":
            raise EngineError("broken.gguf is damaged at byte 7: fetch it again")
        on_progress(0.5)
        words = [f"word{number} " for number in range(40)] if path.stem == "slow" else ["Quick."]
        self.backends.append(ScriptedBackend(words, pace=0.02, name=path.stem))
        return self.backends[-1]

    def switch(self, name: str) -> None:
        self.models.switch(self.models.files(name, self.folder / f"{name}.gguf"))


@pytest.fixture
def shop(tmp_path: Path, store: Store) -> Iterator[Shop]:
    shop = Shop(tmp_path, store)
    yield shop
    shop.gate.set()
    shop.chats.close()
    shop.models.close()


def test_a_running_answer_ends_first_and_a_question_asked_meanwhile_is_answered_by_the_new_model(
    shop: Shop, store: Store
) -> None:
    running = shop.chats.send(None, "Tell me much.")
    assert run_of(shop.chats, running).wait(1, LIMIT_SECONDS)
    shop.switch("quick")
    waiting = wait_until(shop.models, lambda state: state.answers == 1)
    assert (waiting.status, waiting.message) == ("loading", "quick is loaded once 1 answer has ended")
    asked = shop.chats.send(None, "And you?")
    assert run_of(shop.chats, asked).phase == "waiting"
    old, new = finish(shop.chats, store, running), finish(shop.chats, store, asked)
    assert (old.status, old.model, old.content.count("word")) == ("complete", "slow", 40)
    assert (new.status, new.model, new.content) == ("complete", "quick", "Quick.")
    assert shop.backends[0].closed.is_set()
    assert shop.models.state == ModelState("ready", "quick", message="quick is ready")


def test_answers_are_stopped_if_a_person_says_so_and_those_that_wait_go_on_waiting(shop: Shop, store: Store) -> None:
    running = shop.chats.send(None, "Tell me much.")
    assert run_of(shop.chats, running).wait(1, LIMIT_SECONDS)
    shop.gate.clear()
    shop.switch("quick")
    wait_until(shop.models, lambda state: state.answers == 1)
    asked = shop.chats.send(None, "And you?")
    shop.models.hurry()
    shop.chats.answers.stop_written()
    stopped = finish(shop.chats, store, running)
    assert (stopped.status, stopped.model) == ("stopped", "slow")
    assert 0 < stopped.content.count("word") < 40
    shop.gate.set()
    assert finish(shop.chats, store, asked).content == "Quick."


def test_a_switch_that_waits_can_be_taken_back(shop: Shop, store: Store) -> None:
    running = shop.chats.send(None, "Tell me much.")
    assert run_of(shop.chats, running).wait(1, LIMIT_SECONDS)
    shop.switch("quick")
    wait_until(shop.models, lambda state: state.answers == 1)
    shop.models.stay()
    assert wait_until(shop.models, lambda state: state.status == "ready").name.endswith("slow.gguf")
    assert finish(shop.chats, store, running).content.count("word") == 40
    assert len(shop.backends) == 1
    shop.models.stay()
    assert shop.models.state.status == "ready"


def test_what_cannot_be_loaded_gives_way_to_the_model_before_and_says_why(shop: Shop, store: Store) -> None:
    shop.switch("broken")
    state = wait_until(shop.models, lambda state: state.status == "ready" and state.trouble != "")
    assert state.name.endswith("slow.gguf")
    assert state.trouble == "broken.gguf is damaged at byte 7: fetch it again"
    assert finish(shop.chats, store, shop.chats.send(None, "Hello?")).model == "slow"
    shop.switch("quick")
    assert wait_until(shop.models, lambda state: state.name == "quick" and state.status == "ready").trouble == ""


def test_of_two_choices_the_later_counts(shop: Shop, store: Store) -> None:
    shop.gate.clear()
    shop.switch("broken")
    wait_until(shop.models, lambda state: state.status == "loading")
    shop.switch("quick")
    shop.gate.set()
    state = wait_until(shop.models, lambda state: state.status == "ready")
    assert (state.name, state.trouble) == ("quick", "")
    assert [backend.info.name for backend in shop.backends] == ["slow", "quick"]


def test_closing_ends_a_switch_that_waits(shop: Shop) -> None:
    running = shop.chats.send(None, "Tell me much.")
    assert run_of(shop.chats, running).wait(1, LIMIT_SECONDS)
    shop.switch("quick")
    wait_until(shop.models, lambda state: state.answers == 1)
    shop.models.close()
    assert shop.models.state.status == "failed"
    assert shop.backends[0].closed.is_set()


def test_an_answer_of_another_real_model_has_its_own_tokens(tmp_path: Path, store: Store) -> None:
    for seed in (1, 2):
        write_tiny_llama(tmp_path / f"{seed}.gguf", seed=seed)
    models = Models(tmp_path, str(tmp_path / "1.gguf"), loader=Engine.load)
    chats = Chats(store, models)
    try:
        settings = {"temperature": 0.0, "max_tokens": 12}
        first = finish(chats, store, chats.send(None, "Hello", settings=settings))
        models.switch(models.files("second", tmp_path / "2.gguf"))
        second = finish(chats, store, chats.send(None, "Hello", settings=settings))
        models.switch(models.files("first", tmp_path / "1.gguf"))
        third = finish(chats, store, chats.send(None, "Hello", settings=settings))
    finally:
        chats.close()
        models.close()
    assert first.model_digest == third.model_digest != second.model_digest
    assert first.content == third.content != second.content
