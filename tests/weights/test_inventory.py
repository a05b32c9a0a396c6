"""What the models folder holds, told whole or not; and removing one thing of it, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model_hub import ModelHub, point_hub_at
from weights import (
    DEFAULT,
    FetchCancelled,
    FolderNotWritable,
    UnknownModel,
    installed,
    parse_reference,
    pull,
    remove,
)

FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": bytes(300_000)}
WHOLE = parse_reference("hf:maker/model")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    with ModelHub() as hub:
        point_hub_at(hub.url, monkeypatch)
        hub.add("maker/model", dict(FILES))
        hub.add("maker/ggufs", {"a.gguf": b"GGUF", "big-00001-of-00002.gguf": b"1", "big-00002-of-00002.gguf": b"2"})
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def names(folder: Path) -> list[str]:
    return [model.name for model in installed(folder)]


def break_off(hub: ModelHub, folder: Path) -> None:
    cancel = threading.Event()
    with pytest.raises(FetchCancelled):
        pull(WHOLE, folder, lambda done, total: cancel.set() if done > 99_999 else None, cancel=cancel)


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert installed(tmp_path / "none") == []


def test_everything_that_is_a_model_is_listed_under_the_name_that_opens_or_removes_it(
    hub: ModelHub, folder: Path
) -> None:
    whole = pull(WHOLE, folder)
    file = pull(parse_reference("hf:maker/ggufs:a.gguf"), folder)
    split = pull(parse_reference("hf:maker/ggufs:big-00002-of-00002.gguf"), folder)
    (folder / "own.gguf").write_bytes(b"GGUF")
    (folder / "mine").mkdir()
    (folder / "mine" / "config.json").write_text("{}")
    (folder / "others").mkdir()
    for part in (1, 2):
        (folder / "others" / f"x-0000{part}-of-00002.gguf").write_bytes(b"GGUF!")
    (folder / "notes.txt").write_text("not a model")
    (folder / "empty").mkdir()
    models = {model.name: model for model in installed(folder)}
    assert {name: model.path for name, model in models.items()} == {
        "hf:maker/model": whole,
        "hf:maker/ggufs:a.gguf": file,
        "hf:maker/ggufs:big-00001-of-00002.gguf": split,
        "own.gguf": folder / "own.gguf",
        "mine": folder / "mine",
        "others/x-00001-of-00002.gguf": folder / "others" / "x-00001-of-00002.gguf",
    }
    assert not any(model.problem for model in models.values())
    assert models["others/x-00001-of-00002.gguf"].bytes == 10
    assert models["hf:maker/model"].kind == "hub"
    assert models["mine"].kind == "own"


def test_what_is_incomplete_or_damaged_says_how_to_mend_it(hub: ModelHub, folder: Path) -> None:
    break_off(hub, folder)
    (folder / "lost-00001-of-00003.gguf").write_bytes(b"GGUF")
    DEFAULT.path_in(folder).parent.mkdir()
    DEFAULT.path_in(folder).write_bytes(b"GGUF")
    (folder / "other.part").mkdir()
    problems = {model.name: model.problem for model in installed(folder)}
    assert problems["hf:maker/model"].startswith("incomplete, 0.")
    assert problems["hf:maker/model"].endswith("of 0.3 MB: fireside pull hf:maker/model")
    assert problems["lost-00001-of-00003.gguf"] == "2 of its 3 parts are missing"
    assert "4 bytes instead of 98,362,432" in problems[DEFAULT.name]
    assert "fireside rm other.part" in problems["other.part"]
    (pull(WHOLE, folder) / "model.safetensors").write_bytes(b"short")
    problems = {model.name: model.problem for model in installed(folder)}
    assert "model.safetensors has 5 bytes instead of 300,000" in problems["hf:maker/model"]


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", '{"source": 1}', "[" * 100_000, '{"files": "x"}'])
def test_a_damaged_note_is_no_note(hub: ModelHub, folder: Path, note: str) -> None:
    (pull(WHOLE, folder) / "fireside.json").write_text(note)
    assert names(folder) == ["maker--model"]


def test_a_note_cannot_give_a_model_any_name(hub: ModelHub, folder: Path) -> None:
    note = pull(WHOLE, folder) / "fireside.json"
    note.write_text(note.read_text().replace("hf:maker/model", "\\u001b[2Jx"))
    assert names(folder) == ["maker--model"]


def test_a_note_that_names_files_elsewhere_is_no_note(hub: ModelHub, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.gguf").write_bytes(b"GGUF")
    note = pull(WHOLE, folder) / "fireside.json"
    note.write_text(note.read_text().replace("model.safetensors", "../../secret.gguf"))
    assert names(folder) == ["maker--model"]


def test_removing_takes_the_one_model_and_what_belongs_to_it(hub: ModelHub, folder: Path) -> None:
    pull(WHOLE, folder)
    (folder / "own-00001-of-00002.gguf").write_bytes(b"GGUF")
    (folder / "own-00002-of-00002.gguf").write_bytes(b"GGUF")
    (folder / "own.gguf").write_bytes(b"GGUF")
    assert remove("hf:maker/model", folder).bytes > 300_000
    assert {path.name for path in folder.iterdir()} == {
        "own-00001-of-00002.gguf",
        "own-00002-of-00002.gguf",
        "own.gguf",
    }
    remove("own-00001-of-00002.gguf", folder)
    assert names(folder) == ["own.gguf"]


def test_the_beginning_of_a_download_can_be_removed(hub: ModelHub, folder: Path) -> None:
    break_off(hub, folder)
    remove("hf:maker/model", folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../outside.gguf", "/etc", "nosuch", "hf:maker/nosuch", "a\0b", "models"]
)
def test_what_is_not_listed_is_not_removed(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.gguf").write_bytes(b"GGUF")
    (folder / "own.gguf").write_bytes(b"GGUF")
    with pytest.raises(UnknownModel, match=r"there is own\.gguf"):
        remove(name, folder)
    assert (tmp_path / "outside.gguf").exists()
    assert names(folder) == ["own.gguf"]


@pytest.mark.parametrize("name", ["file.gguf", "linked", "ggufs/inner.gguf"])
def test_a_link_is_removed_and_what_it_points_at_stays(folder: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "config.json").write_text("{}")
    (outside / "inner.gguf").write_bytes(b"GGUF")
    only_ggufs = tmp_path / "only"
    only_ggufs.mkdir()
    (only_ggufs / "inner.gguf").write_bytes(b"GGUF")
    (folder / "file.gguf").symlink_to(outside / "inner.gguf")
    (folder / "linked").symlink_to(outside, target_is_directory=True)
    (folder / "ggufs").symlink_to(only_ggufs, target_is_directory=True)
    assert names(folder) == ["file.gguf", "ggufs/inner.gguf", "linked"]
    remove(name, folder)
    assert len(names(folder)) == 2
    assert {path.name for path in outside.iterdir()} == {"config.json", "inner.gguf"}
    assert (only_ggufs / "inner.gguf").exists()


def test_a_link_inside_a_model_is_not_followed(hub: ModelHub, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    (pull(WHOLE, folder) / "way-out").symlink_to(outside, target_is_directory=True)
    remove("hf:maker/model", folder)
    assert (outside / "kept.txt").exists()


def test_a_link_in_a_staging_folder_is_not_written_through(hub: ModelHub, folder: Path, tmp_path: Path) -> None:
    break_off(hub, folder)
    outside = tmp_path / "outside.txt"
    outside.write_text("kept")
    partial = folder / "maker--model.part" / "model.safetensors"
    partial.unlink()
    partial.symlink_to(outside)
    assert (pull(WHOLE, folder) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert outside.read_text() == "kept"


def test_a_models_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert installed(tmp_path / "file") == []
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(FolderNotWritable, match="loop"):
        installed(loop)
