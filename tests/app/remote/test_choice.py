"""An engine elsewhere is chosen, kept over a restart with its key, and left again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from app.cli.remote import connected, engine_elsewhere
from app.engine_choice import EngineChoice, source_of
from app.fake import ScriptedBackend
from app.models import Models
from app.remote import Address
from app.remote.chosen import FILE, ChosenEngine, chosen_engine, keep_chosen_engine
from app.remote.errors import NotThere, RemoteError, Unauthorised
from tests.app import plain_http
from tests.app.remote.scripted import Handler, Scripted, scripted, stream
from tests.app.serving import LIMIT_SECONDS, loader_of
from tests.app.test_cli_serve import server as serving

KEY = "secret-key"


def asks_for_a_key(handler: Handler) -> None:
    if handler.headers["Authorization"] == f"Bearer {KEY}":
        return handler.json({"data": [{"id": "a", "max_model_len": 500}, {"id": "b", "max_model_len": 500}]})
    return handler.json({"error": {"message": "no key"}}, 401)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted(stream()) as server:
        server.pages["models"] = asks_for_a_key
        yield server


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Models]:
    (tmp_path / "own.gguf").touch()
    models = Models(tmp_path, str(tmp_path / "own.gguf"), loader=loader_of(ScriptedBackend()))
    models.backend(LIMIT_SECONDS)
    yield models
    models.close()


@pytest.fixture
def choice(models: Models, tmp_path: Path) -> EngineChoice:
    return EngineChoice(models, lambda: models.files(str(tmp_path / "own.gguf")), tmp_path)


def until(ready: Callable[[], object], wanted: object) -> None:
    deadline = monotonic() + LIMIT_SECONDS
    while ready() != wanted:
        assert monotonic() < deadline, ready()
        sleep(0.01)


def test_it_is_looked_at_used_and_left(choice: EngineChoice, models: Models, server: Scripted, tmp_path: Path) -> None:
    with pytest.raises(Unauthorised):
        choice.look(server.url, "")
    found = choice.look(server.url, f" {KEY} ")
    assert (found.models, found.info.context) == (("a", "b"), 500)
    choice.use(server.url, KEY, "b")
    until(lambda: models.info and models.info.name, "b")
    until(lambda: chosen_engine(tmp_path), ChosenEngine(Address.parse(server.url, KEY), "b"))
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    # Not typed again: the key that is kept goes to the address that it was given for, and to no other.
    assert choice.look(server.url, "").models == ("a", "b")
    with scripted(stream()) as other:
        seen: list[str | None] = []
        other.pages["models"] = lambda handler: (
            seen.append(handler.headers["Authorization"]),
            handler.json({"data": [{"id": "c"}]}),
        )
        choice.look(other.url, "")
        assert seen == [None]
    choice.back()
    until(lambda: models.info and models.info.name, "scripted")
    assert (choice.chosen, models.remote) == (None, "")


def test_what_cannot_be_reached_is_not_kept_and_what_was_there_goes_on(
    choice: EngineChoice, models: Models, tmp_path: Path
) -> None:
    choice.use("http://127.0.0.1:9", "", None)
    until(lambda: "is it running" in models.state.trouble, True)
    until(lambda: models.info and models.info.name, "scripted")
    assert chosen_engine(tmp_path) is None
    with pytest.raises(RemoteError):
        choice.use("nonsense", "", None)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"address": "ftp://a", "key": "", "model": null, "context": null}', '{"address": 3}']
)
def test_a_file_that_is_not_sound_chooses_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    assert chosen_engine(tmp_path) is None


def test_the_key_of_the_command_line_comes_from_the_environment(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unauthorised):
        connected(server.url, None, None)
    monkeypatch.setenv("FIRESIDE_ENGINE_KEY", KEY)
    connected(server.url, "b", None).close()
    monkeypatch.delenv("FIRESIDE_ENGINE_KEY")
    (tmp_path / "key").write_text(f"{KEY}\n")
    monkeypatch.setenv("FIRESIDE_ENGINE_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(NotThere):
        connected(server.url, "c", None)
    assert engine_elsewhere(server.url, None, None).remote == server.url


def test_it_is_there_again_after_a_restart(server: Scripted, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    keep_chosen_engine(home, ChosenEngine(Address.parse(server.url, KEY), "b"))
    with serving("--home", home, "--models", tmp_path) as running:
        running.wait_for(running.url)
        until(lambda: plain_http.get(f"{running.url}/status").json()["status"], "ready")
        status = plain_http.get(f"{running.url}/status").json()
        assert (status["remote"], status["name"]) == (server.url, "b")
        assert KEY not in plain_http.get(f"{running.url}/engine").text + str(status)
    assert source_of(ChosenEngine(Address.parse(server.url))).name == server.url
