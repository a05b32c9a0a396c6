"""`fireside chat`: what is typed in a terminal, against each thing that can answer, ends in the store."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from app.cli.chat import chat
from app.cli.dialogue import Dialogue
from app.fake import ScriptedBackend
from app.person import Person
from app.store import Store
from app.talk import Talk, TalkHere
from app.workspace import Workspaces
from engine import EngineError
from tests.app.command import FIRESIDE, LIMIT_SECONDS, ROOT, assert_refused, fireside
from tests.app.remote.fireside import Fireside
from tests.app.remote.fireside import fireside as running
from tests.app.serving import chatting, loader_of


def talked(talk: Talk, *lines: str, **options: Any) -> tuple[str, str, Dialogue]:
    """What is written in answer to these lines, and what is told aside."""
    left = iter(lines)

    def read(prompt: str) -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    out, aside = io.StringIO(), io.StringIO()
    dialogue = Dialogue(talk, read, out=out, aside=aside, **options)
    dialogue.run()
    return out.getvalue(), aside.getvalue(), dialogue


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend(lambda messages: ["Yes, ", messages[-1]["content"]])


@pytest.fixture
def talk(store: Store, backend: ScriptedBackend) -> Iterator[TalkHere]:
    with chatting(store, backend) as chats:
        yield TalkHere.of_user(store, Workspaces(store, chats), chats._models, None)


def test_questions_and_answers_are_kept_as_one_chat(talk: TalkHere, store: Store) -> None:
    out, aside, _ = talked(talk, "One?", "  ", "Two \\", "lines?", "/quit", "never said")
    assert (out, aside) == ("Yes, One?\nYes, Two \nlines?\n", "")
    [chat] = store.conversations.list()
    assert [message.content for message in store.messages.path(chat.id)] == [
        *("One?", "Yes, One?", "Two \nlines?", "Yes, Two \nlines?"),
    ]


def test_commands(talk: TalkHere, store: Store) -> None:
    out, aside, dialogue = talked(talk, "/help", "/history", "/again", "One?", "/again", "/new", "//two", "/chats")
    assert out == "Yes, One?\nYes, One?\nYes, /two\n"
    assert "/set NAME VALUE" in aside
    assert "Nothing was asked yet." in aside
    assert aside.endswith("*  1  /two\n   2  One?\n")
    assert len(store.messages.tree(store.conversations.list()[1].id)) == 3
    out, aside, again = talked(talk, "/open 9", "/open 2", "/nosuch", conversation_id=dialogue.conversation_id)
    assert out == "> One?\n\nYes, One?\n\n"
    assert "Say which by its number" in aside
    assert "There is no /nosuch" in aside
    assert again.conversation_id != dialogue.conversation_id


def test_settings_and_instructions(talk: TalkHere, store: Store, backend: ScriptedBackend) -> None:
    lines = "/set top-k 7", "/system Be brief.", "One?", "/set temperature 0.25", "/system Be long.", "Two?", "/set"
    _, aside, dialogue = talked(talk, *lines, settings={"seed": 3})
    assert "  temperature 0.25\n" in aside
    (first, one), (second, two) = backend.requests
    assert (one.seed, one.top_k, two.seed, two.top_k, two.temperature) == (3, 7, 3, 7, 0.25)
    assert [each[0]["content"] for each in (first, second)] == ["Be brief.", "Be long."]
    chat = store.conversations.get(dialogue.conversation_id or "")
    assert chat.settings == {"seed": 3, "top_k": 7, "temperature": 0.25}
    _, aside, _ = talked(talk, "/set temperature hot", "/set nosuch 1", "/set")
    assert aside.count("fireside: ") == 2


def test_what_cannot_be_answered_is_told_and_the_talk_goes_on(talk: TalkHere, backend: ScriptedBackend) -> None:
    backend.error = EngineError("no room")
    out, aside, dialogue = talked(talk, "One?", "/chats")
    assert (out, dialogue.failed) == ("\n", True)
    assert aside.startswith("fireside: no room\n*  1")


def test_an_answer_cannot_give_the_terminal_orders(talk: TalkHere, backend: ScriptedBackend) -> None:
    backend.script = ["\x1b]52;c;ZXZpbA==\x07", "a\r\nb\tc\x9b2J"]
    assert talked(talk, "One?")[0] == "]52;c;ZXZpbA==a\nb\tc2J\n"


def test_a_thinker_thinks_aside(talk: TalkHere, backend: ScriptedBackend, store: Store) -> None:
    from engine.reasoning import TAGS

    thinker = ScriptedBackend(["<think>", "Hm.", "</think>", "Yes."], tags=TAGS[0])
    with chatting(store, thinker) as chats:
        thinking = TalkHere.of_user(store, Workspaces(store, chats), chats._models, None)
        assert talked(thinking, "One?")[:2] == ("Yes.\n", "Hm.\n\n")


def test_each_person_talks_in_what_is_theirs(store: Store, backend: ScriptedBackend) -> None:
    anna, _ = store.users.add("Anna", "no hash")
    ben, _ = store.users.add("Ben", "no hash")
    with chatting(store, backend) as chats:
        workspaces = Workspaces(store, chats)
        talks = [TalkHere.of_user(store, workspaces, chats._models, name) for name in ("Anna", "Ben")]
        *_, dialogue = talked(talks[0], "Mine?")
        assert talks[1].chats() == []
        for talk in talks[1:]:
            _, aside, _ = talked(talk, "/history", "/again", conversation_id=dialogue.conversation_id)
            assert aside.count("there is no conversation") == 2
        assert workspaces.for_person(Person(anna.id, "Anna", True)).store.conversations.list()
        assert not workspaces.for_person(Person(ben.id, "Ben", False)).store.conversations.list()


# --- as a process

WAIT_SECONDS = 40.0


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, *arguments: str | Path) -> None:
        self.said = ""
        self._ours, theirs = pty.openpty()
        # Ctrl-C reaches the group that the terminal belongs to.
        self.process = subprocess.Popen(
            [*FIRESIDE, "chat", *map(str, arguments)],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def wait_for(self, words: str, more: int = 0) -> None:
        """Until it has said these words, and so many characters more than now."""
        deadline, least = monotonic() + WAIT_SECONDS, len(self.said) + more
        while words not in self.said or len(self.said) < least:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - monotonic()))
            assert ready, self.said
            try:
                self.said += os.read(self._ours, 4096).decode(errors="replace")
            except OSError:
                pytest.fail(self.said)

    def end(self) -> int:
        try:
            return self.process.wait(LIMIT_SECONDS)
        finally:
            os.close(self._ours)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fireside]:
    home = tmp_path_factory.mktemp("running")
    (home / "scripted.gguf").touch()

    def answer(messages: Any) -> list[str]:
        return [f"word{n} " for n in range(5000)] if "long" in messages[-1]["content"] else ["Of course."]

    backend = ScriptedBackend(answer, pace=0.005)
    with running(home, model=home / "scripted.gguf", loader=loader_of(backend)) as running_server:
        yield running_server


def stopped_by_ctrl_c(terminal: Terminal, question: str) -> None:
    try:
        _stopped_by_ctrl_c(terminal, question)
    finally:
        terminal.process.kill()
        terminal.process.wait()


def _stopped_by_ctrl_c(terminal: Terminal, question: str) -> None:
    terminal.wait_for("> ")
    terminal.type(f"{question}\n")
    # The terminal shows what is typed; the answer comes after it.
    terminal.wait_for(f"{question}\r\n")
    terminal.wait_for("", more=150)
    terminal.interrupt()
    terminal.wait_for("Stopped. What there is of it is kept.")
    terminal.type("/quit\n")
    assert terminal.end() == 0, terminal.said


def chatted(*arguments: str | Path, lines: str) -> Result:
    """The command in this process, with lines piped into it."""
    return CliRunner().invoke(chat, [*map(str, arguments)], input=lines, standalone_mode=False)


def test_with_the_fireside_that_runs(server: Fireside) -> None:
    stopped_by_ctrl_c(Terminal("--home", server.home), "A long one")
    [kept] = server.store.conversations.list()
    asked, answer = server.store.messages.path(kept.id)
    assert (asked.content, answer.status) == ("A long one", "stopped")
    assert answer.content.startswith("word0 word1 ")
    again = chatted("--home", server.home, "--continue", lines="And now?\n")
    assert (again.stdout, again.return_value) == ("Of course.\n", 0), again.stderr
    assert len(server.store.messages.path(kept.id)) == 4
    refused = chatted("--home", server.home, "--model", "smollm2-135m-instruct", lines="Hello\n")
    assert isinstance(refused.exception, click.UsageError)
    assert "leave out --model" in str(refused.exception)


def test_with_an_engine_elsewhere(server: Fireside, tmp_path: Path) -> None:
    engine = f"{server.url}/v1"
    result = chatted("--home", tmp_path, "--engine", engine, "--max-tokens", "5", lines="Hello?\n")
    assert (result.stdout, result.return_value) == ("Of course.\n", 0), result.stderr
    with Store.open(tmp_path) as store:
        [kept] = store.conversations.list()
        path = store.messages.path(kept.id)
        assert [message.content for message in path] == ["Hello?", "Of course."]
        assert path[1].engine["device"] == engine
    nobody = chatted("--home", tmp_path, "--engine", "http://127.0.0.1:9/v1", lines="Hello?\n")
    assert nobody.return_value == 1
    assert "is it running" in nobody.stderr


def test_a_question_to_an_engine_elsewhere(server: Fireside) -> None:
    asked = ("ask", "Hello?", "--engine", f"{server.url}/v1")
    plain = fireside(*asked, "--json")
    told = json.loads(plain.stdout)
    assert (told["text"], told["engine"], told["finish_reason"]) == ("Of course.", f"{server.url}/v1", "stop")
    assert told["stats"]["new_tokens"] == 1
    assert_refused(fireside(*asked, "--no-think"), 2, "leave them out with --engine")


def test_with_a_model_of_its_own(tmp_path: Path, model_path: Path) -> None:
    stopped_by_ctrl_c(
        Terminal("--home", tmp_path, "--kernels", "torch", "--threads", "1"), "Write a very long story about a dragon."
    )
    with Store.open(tmp_path) as store:
        [kept] = store.conversations.list()
        assert store.messages.path(kept.id)[1].status == "stopped"
        assert store.recovered == 0
