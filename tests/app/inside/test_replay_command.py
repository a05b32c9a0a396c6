"""`fireside replay`, with a tiny model in the models folder."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.chats import Chats
from app.cli.main import main
from app.models import Models
from app.store import Message, Store
from benchmarks.machine import free_port
from engine import Engine
from tests.app.command import start
from tests.app.serving import finish
from tests.tiny import write_tiny_llama

SETTINGS = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_tokens": 12, "ignore_eos": True}


class Folder:
    """A data folder with a conversation of two answers, and the models folder with what wrote them."""

    def __init__(self, root: Path) -> None:
        self.home, self.models = root / "home", root / "models"
        self.models.mkdir()
        self.model = write_tiny_llama(self.models / "tiny.gguf")
        self.answers: list[Message] = []
        models = Models(self.models, str(self.model), loader=partial(Engine.load, kernels="torch", deterministic=True))
        with Store.open(self.home) as store:
            chats = Chats(store, models)
            conversation = None
            for seed, text in enumerate(("What burns?", "And what else?"), 3):
                sent = chats.send(conversation, text, settings={**SETTINGS, "seed": seed})
                self.answers.append(finish(chats, store, sent))
                conversation = sent.conversation_id
            chats.close()
        models.close()

    def add(self, **columns: Any) -> str:
        """Another answer to the first question; its id."""
        first = self.answers[0]
        made = {name: getattr(first, name) for name in ("token_ids", "token_logprobs", "settings", "seed", "engine")}
        with Store.open(self.home) as store:
            values = {"content": "Ash.", "model": first.model, "model_digest": first.model_digest} | made | columns
            id = store.messages.add(first.conversation_id, parent_id=first.parent_id, role="assistant", **values).id
            store.conversations.select(first.conversation_id, self.answers[-1].id)
            return id

    def without(self, id: str) -> None:
        with Store.open(self.home) as store:
            store.branches.delete(id)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("replay"))


@pytest.fixture(autouse=True)
def here(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRESIDE_HOME", str(folder.home))
    monkeypatch.setenv("FIRESIDE_MODELS", str(folder.models))


def replay(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code, and what was written: to standard output, else the one line of the error."""
    code = main(["replay", *arguments])
    written = capsys.readouterr()
    assert not (written.out and written.err), written
    if written.err:
        assert written.err.startswith("fireside: ")
        assert written.err.count("\n") == 1
    return code, written.out or written.err


def test_an_answer_and_a_whole_conversation_are_identical(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = folder.answers
    assert replay(capsys, first.id) == (0, "identical: all 12 tokens are the same\n")
    code, told = replay(capsys, first.conversation_id)
    assert (code, told.splitlines()) == (
        0,
        [
            f"{first.id}: identical: all 12 tokens are the same",
            f"{second.id}: identical: all 12 tokens are the same",
            "2 of 2 answers are identical",
        ],
    )
    code, told = replay(capsys, second.id, "--json")
    assert [(each["message"], each["verdict"], each["tokens"]) for each in json.loads(told)] == [
        (second.id, "identical", 12)
    ]


def test_a_changed_setting_is_told_at_its_first_token(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    first = folder.answers[0]
    code, told = replay(capsys, first.id, "--set", "seed=99")
    line, heads, *rows = told.splitlines()
    assert code == 1
    assert line.startswith("differs at token ")
    assert line.endswith(" now")
    assert heads.split() == ["then", "now"]
    assert len(rows) == 5
    # One at most on either side: what came need not be among the likeliest.
    assert all(row.count("%") == 2 for row in rows)
    [result] = json.loads(replay(capsys, first.id, "--set", "temperature=0", "--json")[1])
    assert result["tokens"] == result["at"]
    assert result["stored"]["id"] != result["fresh"]["id"] == result["fresh"]["top"][0]["id"]


def test_what_cannot_be_made_again_is_told_in_one_line(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    first = folder.answers[0]
    question = str(first.parent_id)
    for arguments, code, words in (
        ((question,), 1, "not an answer: give the id of an answer"),
        (("01ARZ3NDEKTSV4RRFFQ69G5FAV",), 1, "no answer or conversation"),
        ((first.id, "--set", "temperature=9"), 2, "temperature"),
        ((first.id, "--set", "warmth=1"), 2, "warmth"),
        ((first.id, "--set", "temperature"), 2, "NAME=NUMBER"),
        ((first.id, "--model", str(folder.home / "none.gguf")), 2, "none.gguf"),
    ):
        assert (found := replay(capsys, *arguments))[0] == code, found
        assert words in found[1]
    gone = folder.add(model="Another", model_digest="ab" * 32)
    changed = folder.add(model_digest="cd" * 32)
    elsewhere = folder.add(model="far", model_digest="ef" * 32, engine={"device": "http://far:8000/v1"})
    bare = folder.add(token_ids=None, token_logprobs=None)
    for id, words in (
        (gone, f"Another (SHA-256 abababababab) wrote this and is not in {folder.models}: bring it back"),
        (changed, "; tiny.gguf has its name, but other files"),
        (elsewhere, "far at http://far:8000/v1 wrote this, which only that server could do again"),
        (bare, "came without tokens"),
    ):
        code, told = replay(capsys, id)
        assert code == 1
        assert words in told
    # Of a conversation the others are made again all the same.
    code, told = replay(capsys, first.conversation_id)
    assert code == 1
    assert f"{changed}: cannot be made again: the files of tiny are not those that wrote this" in told
    assert told.endswith("2 of 6 answers are identical\n")
    for id in (gone, changed, elsewhere, bare):
        folder.without(id)


@pytest.fixture
def running(folder: Folder) -> Iterator[None]:
    with start(
        *(
            "serve",
            "--no-browser",
            "--port",
            str(free_port()),
            "--model",
            folder.model,
            "--deterministic",
            "--kernels",
            "torch",
        )
    ) as server:
        try:
            assert server.stdout
            assert b"Fireside is at" in server.stdout.readline()
            yield
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=20)


def test_the_running_server_does_it(running: None, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    first = folder.answers[0]
    while (found := replay(capsys, first.id))[1].startswith("fireside: loading"):
        pass
    assert found == (0, "identical: all 12 tokens are the same\n")
    assert replay(capsys, first.id, "--set", "seed=99")[0] == 1
    assert replay(capsys, first.conversation_id)[1].endswith("2 of 2 answers are identical\n")
    code, told = replay(capsys, "nothing")
    assert (code, "no answer or conversation" in told) == (1, True)
    code, told = replay(capsys, first.id, "--model", "tiny.gguf")
    assert (code, "leave out --model" in told) == (1, True)
