"""Keys and values in the data folder: a conversation goes on after a restart without being computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from app.chats import Chats
from app.cli.options import kv_option
from app.kv import kv_folder, open_kv
from app.models import Models
from app.store import Message, Store, StoreError
from engine import Engine
from tests.app.serving import finish
from tests.tiny import write_tiny_llama

SYSTEM = "You are a careful storyteller. " * 15
PLENTY = 2**30

Open = Callable[[], tuple[Chats, Models]]


@pytest.fixture
def opened(store: Store, tmp_path: Path) -> Iterator[Open]:
    """Starts the chats of a real engine on the store, as a start of the server does."""
    file = write_tiny_llama(tmp_path / "tiny.gguf", context=2048)
    started: list[tuple[Chats, Models]] = []

    def start() -> tuple[Chats, Models]:
        loader = partial(Engine.load, device="cpu", kv_files=open_kv(store, PLENTY))
        models = Models(tmp_path, str(file), loader=loader)
        models.backend(timeout=20)
        started.append((Chats(store, models), models))
        return started[-1]

    yield start
    for chats, models in started:
        chats.close()
        models.close()


def converse(chats: Chats, store: Store, id: str | None = None, system: str = SYSTEM) -> Message:
    settings = {"max_tokens": 16, "temperature": 0, "ignore_eos": True}
    sent = chats.send(id, "Go on.", system_prompt=system, settings=settings) if id is None else chats.send(id, "Go on.")
    return finish(chats, store, sent)


def stop(chats: Chats, models: Models) -> None:
    chats.close()
    models.close()


def files(store: Store) -> list[Path]:
    return list(kv_folder(store.home).iterdir())


def test_a_conversation_goes_on_after_a_restart(store: Store, opened: Open) -> None:
    first = opened()
    said = converse(first[0], store)
    stop(*first)
    assert said.cached_tokens == 0
    again = converse(opened()[0], store, said.conversation_id)
    assert again.cached_tokens is not None
    assert again.cached_tokens >= 384


@pytest.mark.parametrize("how", ["one", "empty", "purge", "message"])
def test_nothing_of_what_was_erased_stays(store: Store, opened: Open, how: str) -> None:
    chats, models = opened()
    said = converse(chats, store)
    kept = converse(chats, store, system="Another story. " * 30)
    stop(chats, models)
    assert files(store)
    chats, models = opened()
    if how == "message":
        store.branches.delete(said.id)
    else:
        store.conversations.delete(said.conversation_id)
    assert files(store)
    if how == "one":
        store.trash.erase(said.conversation_id)
    elif how == "purge":
        assert store.trash.purge(1) == 0
        assert files(store)
        with store.transaction(), store._database.write() as db:
            db.execute("UPDATE conversations SET deleted_at = '2000' WHERE deleted_at IS NOT NULL")
        assert store.trash.purge(1) == 1
    else:
        assert store.trash.empty() == 1
    assert files(store) == []
    # What the engine still has in memory does not come back either; what is said later is kept again.
    stop(chats, models)
    assert files(store) == []
    chats, models = opened()
    converse(chats, store, kept.conversation_id)
    stop(chats, models)
    assert files(store)


def test_what_cannot_be_erased_stays_in_the_trash(store: Store, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    chats, models = opened()
    said = converse(chats, store)
    stop(chats, models)
    store.conversations.delete(said.conversation_id)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StoreError, match="Permission denied"):
        store.trash.empty()
    monkeypatch.undo()
    assert len(store.trash.conversations()) == 1
    assert store.trash.empty() == 1
    assert files(store) == []


def test_turned_off_it_keeps_nothing(store: Store, opened: Open) -> None:
    stop(*opened())
    (kv_folder(store.home) / f"{'a' * 64}.safetensors").write_bytes(b"x")
    assert open_kv(store, 0) is None
    assert not kv_folder(store.home).exists()


def test_a_folder_that_cannot_be_had_is_a_notice(store: Store) -> None:
    kv_folder(store.home).write_text("in the way")
    assert open_kv(store, PLENTY) is None
    assert "turn keeping them off" in store.notices[-1]


@pytest.mark.parametrize(
    ("text", "size"), [(None, 2 * 10**9), ("off", 0), ("500MB", 5 * 10**8), ("1.5 gb", 15 * 10**8), ("1TB", 10**12)]
)
def test_sizes(text: str | None, size: int) -> None:
    @click.command()
    @kv_option
    def command(kv_bytes: int) -> None:
        assert kv_bytes == size

    result = CliRunner().invoke(command, [] if text is None else ["--kv-on-disk", text])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("text", ["5", "-1GB", "2PB", "lots", "1e99GB", "", "٢GB"])
def test_what_is_no_size_is_wrong_usage(text: str) -> None:
    result = CliRunner().invoke(click.command()(kv_option(lambda kv_bytes: None)), ["--kv-on-disk", text])
    assert result.exit_code == 2
    assert "write it as 500MB or 2GB, or off" in result.output
