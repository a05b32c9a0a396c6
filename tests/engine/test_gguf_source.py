from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFWriter

from engine import EngineError, ModelFormatError
from engine.checkpoint.gguf_source import GGUFSource, gguf_in
from tests.gguf_fields import replaced

TENSORS = 5


def write_split(folder: Path, *, name: str = "story", seed: int = 0) -> list[Path]:
    """A model of five tensors in three parts, as llama.cpp and the `gguf` package split them."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    writer = GGUFWriter(folder / f"{name}.gguf", "llama", split_max_tensors=2)
    writer.add_name(name)
    for index in range(TENSORS):
        writer.add_tensor(f"t{index}", random.standard_normal((3, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(folder.glob(f"{name}-*.gguf"))


def refusal(path: Path) -> str:
    with pytest.raises(EngineError) as caught:
        GGUFSource(path)
    assert isinstance(caught.value, ModelFormatError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(path: Path, role: str, value: int) -> None:
    path.write_bytes(replaced(path.read_bytes(), role, value))


@pytest.mark.parametrize("given", [0, 1, 2])
def test_any_part_opens_all_of_them(given: int, tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    source = GGUFSource(parts[given])
    expected = np.random.default_rng(0)
    assert source.files == tuple(parts)
    assert source.metadata["general.name"] == "story"
    assert sorted(source.tensors) == [f"t{index}" for index in range(TENSORS)]
    for index in range(TENSORS):
        assert torch.equal(source.load(f"t{index}"), torch.from_numpy(expected.standard_normal((3, 32), np.float32)))


def test_a_folder_with_parts_is_one_model(tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    assert gguf_in(tmp_path) == parts[0]
    parts[0].unlink()
    assert gguf_in(tmp_path) == parts[1]
    assert "00001-of-00003" in refusal(parts[1])


def test_a_folder_with_two_models_is_ambiguous(tmp_path: Path) -> None:
    assert gguf_in(tmp_path) is None
    write_split(tmp_path, name="a")
    write_split(tmp_path, name="b")
    with pytest.raises(ModelFormatError, match=r"2 \.gguf models.*a-00001-of-00003\.gguf"):
        gguf_in(tmp_path)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_part_is_named(missing: int, tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    parts[missing].unlink()
    assert parts[missing].name in refusal(parts[missing - 1])


def test_parts_under_each_other_s_names(tmp_path: Path) -> None:
    _, second, third = write_split(tmp_path)
    second.rename(tmp_path / "aside")
    third.rename(second)
    (tmp_path / "aside").rename(third)
    assert "part 2 (from 0) of 3" in refusal(third)


def test_a_renamed_part(tmp_path: Path) -> None:
    part = write_split(tmp_path)[0].rename(tmp_path / "story.gguf")
    assert "00001-of-00003" in refusal(part)


def test_a_part_of_another_model(tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    others = write_split(tmp_path / "other", name="other")
    change(others[1], "split.tensors.count", 6)
    parts[1].write_bytes(others[1].read_bytes())
    assert "split.tensors.count" in refusal(parts[0])


def test_a_part_twice(tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    parts[1].write_bytes(parts[0].read_bytes())
    change(parts[1], "split.no", 1)
    assert "'t0'" in refusal(parts[0])


@pytest.mark.parametrize(
    ("role", "value"),
    [
        ("split.count", 2),
        ("split.count", 65_535),
        ("split.no", 2),
        ("split.tensors.count", 6),
        ("split.tensors.count", -1),
    ],
)
@pytest.mark.parametrize("part", [0, 1])
def test_numbers_that_contradict_each_other(part: int, role: str, value: int, tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    change(parts[part], role, value)
    refusal(parts[0])


def test_a_part_that_leads_out_of_the_folder(tmp_path: Path) -> None:
    parts = write_split(tmp_path / "model")
    outside = parts[1].rename(tmp_path / "outside.gguf")
    parts[1].symlink_to(outside)
    assert "leads out of the folder" in refusal(parts[0])


def test_a_file_that_changes_after_opening(tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    source = GGUFSource(parts[0])
    parts[1].write_bytes(parts[1].read_bytes()[:-64])
    source.load("t0")
    with pytest.raises(ModelFormatError, match="changed"):
        source.load("t3")
    parts[1].unlink()
    with pytest.raises(ModelFormatError, match="cannot be read"):
        source.load("t3")
