"""The models of a running server: looked at, fetched, changed, removed, and refused in words."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from app.library import Entry, ModelLibrary, ModelRefused
from app.models import Models
from app.starting_model import StartingModel, starting_model
from app.store import Store
from engine.memory import MemoryNeed
from tests.model_hub import ModelHub, point_hub_at
from tests.tiny import write_tiny_llama
from weights import DEFAULT, SUGGESTIONS, UnknownModel

LIMIT_SECONDS = 30.0
HUB_NAME = "hf:maker/ggufs:tiny.gguf"
T = TypeVar("T")


def until(look: Callable[[], T], condition: Callable[[T], Any]) -> T:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen


class Rooms:
    """A library over a folder with two tiny models, `one` of them loaded. remembered: names that were chosen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for seed, name in enumerate(("one", "two")):
            write_tiny_llama(folder / f"{name}.gguf", seed=seed)
        self.remembered: list[str] = []
        self.models = Models(folder, "one.gguf")
        self.models.switch(self.models.files("one.gguf", folder / "one.gguf"))
        self.library = ModelLibrary(self.models, folder, self.remembered.append)
        self.models.backend(LIMIT_SECONDS)

    def entry(self, name: str) -> Entry | None:
        return {entry.name: entry for entry in self.library.shelf().entries}.get(name)

    def known(self, name: str) -> Entry:
        """Once its header has been read."""
        entry = until(lambda: self.entry(name), lambda entry: entry and not entry.reading)
        assert entry is not None
        return entry

    def ready(self, name: str) -> None:
        until(lambda: self.models.state, lambda state: (state.status, state.name) == ("ready", name))


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    rooms = Rooms(tmp_path / "models")
    yield rooms
    rooms.library.close()
    rooms.models.close()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    with ModelHub() as hub:
        point_hub_at(hub.url, monkeypatch)
        tiny = write_tiny_llama(tmp_path / "tiny.gguf", seed=5)
        hub.add("maker/ggufs", {"tiny.gguf": tiny.read_bytes(), "notes.gguf": b"not a model"})
        yield hub


def test_each_model_tells_what_it_is_and_whether_it_fits(rooms: Rooms) -> None:
    (rooms.folder / "broken.gguf").write_bytes(b"GGUF, but no more")
    one, broken = rooms.known("one.gguf"), rooms.known("broken.gguf")
    assert (one.family, one.quantization, one.bits, one.context, one.verdict) == ("llama", "F32", 32.0, 256, "fits")
    assert (one.loaded, one.kind, one.problem) == (True, "own", "")
    assert one.memory > one.bytes > 0
    assert not rooms.known("two.gguf").loaded
    assert broken.problem.startswith("broken.gguf")
    assert broken.verdict is None
    suggested = {entry.name for entry in rooms.library.shelf().entries if entry.kind == "listed"}
    assert suggested == {DEFAULT.name, *(each.reference for each in SUGGESTIONS)}


def test_the_best_that_fit_are_suggested_one_of_each_size(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    def best(free: int) -> list[str]:
        monkeypatch.setattr("app.library.placement", lambda: ("cpu", free))
        entries = sorted(rooms.library.shelf().entries, key=lambda entry: entry.suggested)
        return [entry.title.split(",")[0] for entry in entries if entry.suggested]

    monkeypatch.setattr("app.library._free_disk", lambda folder: 10**12)
    assert best(64 * 10**9) == ["Qwen3 8B", "Granite 3.3 2B Instruct", "Qwen3 0.6B"]
    assert best(6 * 10**9)[0] == "SmolLM3 3B"
    assert best(2 * 10**9) == ["SmolLM2 360M Instruct"]
    assert best(10**8) == []
    monkeypatch.setattr("app.library._free_disk", lambda folder: 2 * 10**9)
    assert best(64 * 10**9)[0] == "SmolLM3 3B"


def test_another_model_is_used_and_remembered(rooms: Rooms) -> None:
    rooms.library.use("two.gguf")
    rooms.ready("two.gguf")
    until(lambda: rooms.remembered, bool)
    assert rooms.remembered == ["two.gguf"]
    assert [entry.name for entry in rooms.library.shelf().entries if entry.loaded] == ["two.gguf"]


@pytest.mark.parametrize("name", ["nosuch.gguf", "../one.gguf", "/etc/passwd", "", DEFAULT.name])
def test_only_what_is_on_disk_can_be_used_and_a_path_is_no_name(rooms: Rooms, name: str) -> None:
    (rooms.folder.parent / "one.gguf").write_bytes((rooms.folder / "one.gguf").read_bytes())
    with pytest.raises(UnknownModel, match="on disk"):
        rooms.library.use(name)
    assert rooms.models.state.name == "one.gguf"


def test_what_cannot_be_used_is_refused_before_the_old_model_goes(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rooms.folder / "broken.gguf").write_bytes(b"GGUF, but no more")
    with pytest.raises(ModelRefused, match=r"broken\.gguf cannot be used: "):
        rooms.library.use("broken.gguf")
    monkeypatch.setattr("app.library.placement", lambda: ("cpu", 1))
    monkeypatch.setattr(MemoryNeed, "total", property(lambda need: 9 * 10**9))
    with pytest.raises(ModelRefused, match=r"two.gguf needs 9.0 GB of memory, and .* are free: choose a smaller model"):
        rooms.library.use("two.gguf")
    assert rooms.models.state.status == "ready"


def test_a_model_is_downloaded_cancelled_gone_on_with_and_used(rooms: Rooms, hub: ModelHub) -> None:
    hub.pause = 0.05
    rooms.library.download(HUB_NAME, use=True)
    rooms.library.download(HUB_NAME, use=True)
    look = lambda: {each.name: each for each in rooms.library.shelf().downloads}  # noqa: E731
    running = until(look, lambda states: states[HUB_NAME].done_bytes > 0)[HUB_NAME]
    assert running.status == "running"
    assert 0 < running.done_bytes < running.total_bytes
    rooms.library.cancel(HUB_NAME)
    until(look, lambda states: states[HUB_NAME].status == "cancelled")
    part = rooms.entry(HUB_NAME)
    assert part is not None
    assert 0 < part.bytes < part.whole_bytes
    hub.pause = 0.0
    rooms.library.download(HUB_NAME, use=True)
    rooms.ready(HUB_NAME)
    assert look()[HUB_NAME].status == "done"
    assert sorted(sent.start > 0 for sent in hub.sent) == [False, True]
    assert rooms.known(HUB_NAME).licence == "apache-2.0"


def test_a_download_that_breaks_says_why_and_goes_on(rooms: Rooms, hub: ModelHub) -> None:
    hub.refuse = ("/cdn", 503, {})
    rooms.library.download(HUB_NAME)
    look = lambda: rooms.library.shelf().downloads[0]  # noqa: E731
    failed = until(look, lambda state: state.status == "failed")
    assert "error (503)" in failed.message
    hub.refuse = None
    rooms.library.download(HUB_NAME)
    assert until(look, lambda state: state.status == "done").message == ""


def test_what_does_not_exist_or_cannot_be_asked_for_is_refused(rooms: Rooms, hub: ModelHub) -> None:
    for name in ("Qwen3", "hf:", "hf:../..", "https://example.org/x", "hf:a/b:../../x.gguf"):
        with pytest.raises(UnknownModel):
            rooms.library.download(name)
    rooms.library.download("hf:maker/nosuch")
    state = until(lambda: rooms.library.shelf().downloads[0], lambda state: state.status == "failed")
    assert "there is no maker/nosuch" in state.message
    rooms.library.cancel("hf:maker/nosuch")
    assert rooms.library.shelf().downloads == ()


def test_what_arrives_and_cannot_be_loaded_leaves_the_old_model_and_says_why(rooms: Rooms, hub: ModelHub) -> None:
    rooms.library.download("hf:maker/ggufs:notes.gguf", use=True)
    state = until(lambda: rooms.models.state, lambda state: state.trouble)
    assert (state.status, state.name) == ("ready", "one.gguf")
    assert "notes.gguf cannot be used" in state.trouble


def test_a_model_is_removed_but_not_the_loaded_one(rooms: Rooms) -> None:
    with pytest.raises(ModelRefused, match=r"one.gguf is loaded: choose another model first"):
        rooms.library.remove("one.gguf")
    with pytest.raises(UnknownModel):
        rooms.library.remove("../one.gguf")
    rooms.library.remove("two.gguf")
    assert rooms.entry("two.gguf") is None
    assert not (rooms.folder / "two.gguf").exists()


def test_a_loaded_model_whose_file_is_gone_goes_on_and_what_others_do_is_noticed(rooms: Rooms) -> None:
    (rooms.folder / "one.gguf").unlink()
    gone = rooms.entry("one.gguf")
    assert gone is not None
    assert gone.loaded
    assert "not on disk any more" in gone.problem
    assert rooms.models.backend(LIMIT_SECONDS).tokenize("hello")
    shutil.copyfile(rooms.folder / "two.gguf", rooms.folder / "three.gguf")
    assert rooms.known("three.gguf").verdict == "fits"


def test_many_ask_at_once(rooms: Rooms, hub: ModelHub) -> None:
    threads = [threading.Thread(target=rooms.library.download, args=(HUB_NAME,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Who asks when it is there already has it fetched no more, and nothing to be told.
    until(rooms.models.downloads.states, lambda states: [state.status for state in states] == ["done"])
    assert [sent.name for sent in hub.sent] == ["tiny.gguf"]


def test_the_choice_is_what_the_next_start_begins_with(rooms: Rooms, store: Store, tmp_path: Path) -> None:
    folder = rooms.folder
    assert starting_model(None, store, folder) == StartingModel(DEFAULT.name)
    store.preferences.set("model", "two.gguf")
    assert starting_model(None, store, folder) == StartingModel("two.gguf", folder / "two.gguf")
    assert starting_model("one.gguf", store, folder) == StartingModel("one.gguf", folder / "one.gguf")
    assert starting_model(str(folder / "one.gguf"), store, folder) == StartingModel("one.gguf", folder / "one.gguf")
    outside = write_tiny_llama(tmp_path / "outside.gguf")
    assert starting_model(str(outside), store, folder) == StartingModel(str(outside), outside, given=outside)
    assert starting_model("hf:maker/ggufs", store, folder) == StartingModel("hf:maker/ggufs")
    with pytest.raises(UnknownModel):
        starting_model("nosuch", store, folder)
    (folder / "two.gguf").unlink()
    assert starting_model(None, store, folder) == StartingModel(DEFAULT.name)
    assert "two.gguf, is not on disk any more" in store.notices[-1]
