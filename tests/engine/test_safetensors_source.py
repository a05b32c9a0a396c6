from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine import EngineError, ModelFormatError, ModelNotFound, UnsupportedModel
from engine.checkpoint.safetensors_source import SafetensorsSource
from tests.tiny_folder import tensors, write_json, write_tiny_folder

HALF = {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}
INDEX = "model.safetensors.index.json"


def refusal(folder: Path) -> EngineError:
    with pytest.raises(EngineError) as caught:
        SafetensorsSource(folder)
    assert "\n" not in str(caught.value)
    return caught.value


def write_raw(folder: Path, header: bytes | dict[str, Any], data: bytes = bytes(12), length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    (folder / "model.safetensors").write_bytes(length.to_bytes(8, "little") + text + data)
    return folder


@pytest.mark.parametrize("shards", [1, 3])
def test_reads_what_the_library_wrote(shards: int, tmp_path: Path) -> None:
    source = SafetensorsSource(write_tiny_folder(tmp_path, shards=shards))
    expected = tensors()
    assert set(source.tensors) == set(expected)
    assert len(source.files) == (1 if shards == 1 else shards + 1)
    for name, tensor in expected.items():
        assert source.tensors[name] == (tuple(tensor.shape), "F32", tensor.nbytes)
        assert torch.equal(source.load(name), tensor)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_keeps_the_stored_dtype_in_memory_of_its_own(dtype: torch.dtype, tmp_path: Path) -> None:
    stored = torch.randn(4, 5).to(dtype)
    save_file({"t": stored}, tmp_path / "model.safetensors")
    source = SafetensorsSource(tmp_path)
    source.load("t").zero_()
    assert torch.equal(source.load("t"), stored)


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn])
def test_other_dtypes_stop_only_who_asks_for_them(dtype: torch.dtype, tmp_path: Path) -> None:
    save_file({"buffer": torch.ones(4).to(dtype), "t": torch.ones(2)}, tmp_path / "model.safetensors")
    source = SafetensorsSource(tmp_path)
    assert torch.equal(source.load("t"), torch.ones(2))
    with pytest.raises(UnsupportedModel, match=source.tensors["buffer"].quantization):
        source.load("buffer")


def test_the_header_used_below_is_sound(tmp_path: Path) -> None:
    source = SafetensorsSource(write_raw(tmp_path, {"__metadata__": {"format": "pt"}, "t": HALF}))
    assert source.load("t").tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b" ",
        b"[]",
        b"null",
        b"{",
        b'{"t": 1}',
        b'{"t": {}}',
        b'{"t": \xff}',
        b'{"\\ud800": 1}',
        b'{"t": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"t": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"t": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, NaN]}}',
        b'{"t": {"dtype": "F16", "shape": [2, ' + b"9" * 5000 + b'], "data_offsets": [0, 12]}}',
        b'{"t": {"dtype": "F16", "dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}}',
        json.dumps({"t": HALF}).encode()[:-1] + b', "t"' + json.dumps({"t": HALF}).encode()[4:],
    ],
)
def test_headers_that_are_no_sound_json(header: bytes, tmp_path: Path) -> None:
    assert isinstance(refusal(write_raw(tmp_path, header)), ModelFormatError)


@pytest.mark.parametrize(
    "change",
    [
        {"data_offsets": [12, 0]},
        {"data_offsets": [0, 13]},
        {"data_offsets": [0, 11]},
        {"data_offsets": [1, 13]},
        {"data_offsets": [0]},
        {"data_offsets": [0, 6, 12]},
        {"data_offsets": [-12, 0]},
        {"data_offsets": [0.0, 12.0]},
        {"data_offsets": [False, 12]},
        {"data_offsets": [0, 2**63]},
        {"data_offsets": "0,12"},
        {"shape": [2, 4]},
        {"shape": [True, 6]},
        {"shape": [-2, -3]},
        {"shape": [2.0, 3]},
        {"shape": [2**32, 2**32]},
        {"shape": [2**64, 3]},
        {"shape": [1] * 9},
        {"shape": None},
        {"shape": 6},
        {"dtype": None},
        {"dtype": ["F16"]},
        {"dtype": "f16"},
        {"dtype": "F32"},
        {"dtype": "../F16"},
        {"extra": 1},
    ],
)
def test_tensors_that_cannot_be(change: dict[str, Any], tmp_path: Path) -> None:
    assert isinstance(refusal(write_raw(tmp_path, {"t": {**HALF, **change}})), ModelFormatError | UnsupportedModel)


@pytest.mark.parametrize(
    ("second", "data"),
    [
        ([6, 18], 18),  # overlaps the first
        ([0, 12], 12),  # lies on the first
        ([14, 26], 26),  # leaves a hole
        ([12, 24], 30),  # leaves bytes at the end
        ([12, 24], 20),  # ends behind the file
    ],
)
def test_tensors_that_do_not_tile_the_file(second: list[int], data: int, tmp_path: Path) -> None:
    header = {"a": HALF, "b": {**HALF, "data_offsets": second}}
    assert isinstance(refusal(write_raw(tmp_path, header, bytes(data))), ModelFormatError)


@pytest.mark.parametrize("metadata", [None, 1, [], {"a": 1}, {"a": None}, {"a": {"b": "c"}}])
def test_metadata_maps_text_to_text(metadata: Any, tmp_path: Path) -> None:
    assert "__metadata__" in str(refusal(write_raw(tmp_path, {"__metadata__": metadata, "t": HALF})))


@pytest.mark.parametrize("length", [0, 1, 73, 10**6, 2**31, 2**63, 2**64 - 1])
def test_wrong_header_lengths(length: int, tmp_path: Path) -> None:
    assert isinstance(refusal(write_raw(tmp_path, {"t": HALF}, length=length)), ModelFormatError)


def test_a_header_of_a_hundred_megabytes(tmp_path: Path) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write((100 * 2**20).to_bytes(8, "little") + b"{")
        file.truncate(101 * 2**20)
    assert "104,857,600" in str(refusal(tmp_path))


def test_cut_off_anywhere(tmp_path: Path) -> None:
    path = write_raw(tmp_path, {"t": HALF}) / "model.safetensors"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert isinstance(refusal(tmp_path), ModelFormatError), length


@pytest.mark.parametrize(
    "shard",
    [
        "../other.safetensors",
        "..\\other.safetensors",
        "/etc/passwd.safetensors",
        "C:\\other.safetensors",
        "sub/other.safetensors",
        "./model-00001-of-00002.safetensors",
        "..",
        "",
        "a\0b.safetensors",
        "a\nb.safetensors",
        "x" * 5000 + ".safetensors",
        "model.bin",
        "absent.safetensors",
        "folder.safetensors",
        7,
        None,
    ],
)
def test_shards_must_be_files_of_the_folder(shard: Any, tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "model", shards=2)
    (folder / "folder.safetensors").mkdir()
    save_file({"model.norm.weight": torch.ones(32)}, tmp_path / "other.safetensors")
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["model.norm.weight"] = shard
    write_json(folder / INDEX, index)
    assert isinstance(refusal(folder), ModelFormatError | UnsupportedModel)


@pytest.mark.parametrize("index", [{}, {"weight_map": {}}, {"weight_map": []}, {"weight_map": None}, [], 1])
def test_an_index_without_a_map(index: Any, tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path, shards=2)
    write_json(folder / INDEX, index)
    assert isinstance(refusal(folder), ModelFormatError)


def test_a_tensor_that_lies_elsewhere(tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path, shards=2)
    index = json.loads((folder / INDEX).read_text())
    first, second = sorted(set(index["weight_map"].values()))
    name = next(name for name, shard in index["weight_map"].items() if shard == first)
    index["weight_map"][name] = second
    write_json(folder / INDEX, index)
    assert first in str(refusal(folder))
    index["weight_map"]["model.nowhere.weight"] = second
    index["weight_map"][name] = first
    write_json(folder / INDEX, index)
    assert "nowhere" in str(refusal(folder))


def test_links_stay_in_the_folder(tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "model")
    weights = folder / "model.safetensors"
    outside = weights.rename(tmp_path / "outside.safetensors")
    weights.symlink_to(outside)
    assert "leads out of the folder" in str(refusal(folder))
    weights.unlink()
    outside.rename(folder / "inside")
    weights.symlink_to("inside")
    assert SafetensorsSource(folder).tensors


def test_a_snapshot_of_the_hugging_face_cache(tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "models--tiny" / "snapshots" / "0123")
    blobs = tmp_path / "models--tiny" / "blobs"
    blobs.mkdir()
    (folder / "model.safetensors").rename(blobs / "abcd")
    (folder / "model.safetensors").symlink_to("../../blobs/abcd")
    assert SafetensorsSource(folder).tensors


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    assert isinstance(refusal(tmp_path), ModelNotFound)


class Canary:
    """What a pickle would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.PTH", "model.ckpt", "weights.pkl"])
def test_pickles_are_never_read(name: str, tmp_path: Path) -> None:
    torch.save(Canary(tmp_path / "ran"), tmp_path / name)
    error = refusal(tmp_path)
    assert isinstance(error, UnsupportedModel)
    assert "never read" in str(error)
    assert "safetensors" in str(error)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", [None, 2, 3, 4, 5])
def test_renamed_pickles_are_recognised(protocol: int | None, tmp_path: Path) -> None:
    path, canary = tmp_path / "model.safetensors", Canary(tmp_path / "ran")
    if protocol is None:
        torch.save(canary, path)
    else:
        path.write_bytes(pickle.dumps(canary, protocol))
    error = refusal(tmp_path)
    assert isinstance(error, UnsupportedModel)
    assert "pickle" in str(error)
    assert not (tmp_path / "ran").exists()


def test_a_header_whose_length_looks_like_a_pickle(tmp_path: Path) -> None:
    text = json.dumps({"t": HALF}).encode()
    write_raw(tmp_path, text + b" " * (0x0280 - len(text)))
    assert (tmp_path / "model.safetensors").read_bytes().startswith(b"\x80\x02")
    assert SafetensorsSource(tmp_path).tensors


def test_a_folder_without_any(tmp_path: Path) -> None:
    assert isinstance(refusal(tmp_path), ModelNotFound)
