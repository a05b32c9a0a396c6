"""Which files of a repository come: those of the model, never programs, and no name that leaves the folder."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.model_hub import ModelHub
from tests.weights.hub_model import NAME, SMALL, WHOLE, left_in
from weights import (
    DownloadFailed,
    UnknownModel,
    UnsafeName,
    UnsuitableModel,
    WeightsError,
    parse_reference,
    pull,
)

SHARDS = [random.Random(seed).randbytes(150_000) for seed in (1, 2)]
SHARD_NAMES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def index_of(*shards: Any) -> bytes:
    return json.dumps({"weight_map": {f"layer.{number}": shard for number, shard in enumerate(shards)}}).encode()


def sharded(hub: ModelHub, index: bytes) -> None:
    files = {**SMALL, "model.safetensors.index.json": index, **dict(zip(SHARD_NAMES, SHARDS, strict=True))}
    hub.add(NAME, files)


def test_templates_and_settings_come_too(hub: ModelHub, folder: Path) -> None:
    beside = ["generation_config.json", "special_tokens_map.json", "chat_template.jinja", "chat_template.json"]
    beside.append("additional_chat_templates/tools.jinja")
    hub.repositories[NAME].files.update(dict.fromkeys(beside, b"{}"))
    assert left_in(pull(WHOLE, folder)) >= set(beside)


def test_the_shards_are_those_of_the_index(hub: ModelHub, folder: Path) -> None:
    sharded(hub, index_of(*SHARD_NAMES, SHARD_NAMES[0]))
    hub.repositories[NAME].files["model-00003-of-00003.safetensors"] = b"of an earlier layout"
    path = pull(WHOLE, folder)
    assert left_in(path) == {*SMALL, *SHARD_NAMES, "model.safetensors.index.json", "fireside.json"}
    assert [(path / name).read_bytes() for name in SHARD_NAMES] == SHARDS


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (b"{", DownloadFailed),
        (b"[]", DownloadFailed),
        (b'{"weight_map": {}}', DownloadFailed),
        (b'{"weight_map": {"a": 1}}', DownloadFailed),
        (b'{"weight_map": ' * 5000 + b"1" + b"}" * 5000, DownloadFailed),
        (index_of("config.json"), DownloadFailed),
        (index_of("../model.safetensors"), UnsafeName),
        (index_of("/etc/model.safetensors"), UnsafeName),
        (index_of("a\\b.safetensors"), UnsafeName),
        (index_of("a\0.safetensors"), UnsafeName),
        (index_of("CON.safetensors"), UnsafeName),
        (index_of("absent.safetensors"), UnsuitableModel),
    ],
)
def test_a_hostile_or_damaged_index_is_refused(
    hub: ModelHub, folder: Path, index: bytes, error: type[WeightsError]
) -> None:
    sharded(hub, index)
    with pytest.raises(error) as caught:
        pull(WHOLE, folder)
    assert "\n" not in str(caught.value)
    assert left_in(folder) == set()
    assert not hub.bytes_sent(SHARD_NAMES[0])


@pytest.mark.parametrize(
    "name",
    ["../../x.gguf", "/etc/x.gguf", "a\\b.gguf", "CON.gguf", "nul", "a\0b.gguf", "x\u202e.gguf", "a/./b.gguf",
     "y" * 300 + ".gguf"],
)  # fmt: skip
def test_a_hostile_name_in_the_listing_is_refused(hub: ModelHub, folder: Path, name: str) -> None:
    hub.add(NAME, {name if name.endswith(".gguf") else f"{name}.gguf": b"GGUF"})
    with pytest.raises(UnsafeName) as caught:
        pull(WHOLE, folder)
    assert "\n" not in str(caught.value)
    assert left_in(folder.parent) == set()
    assert not hub.sent


def test_a_hostile_name_of_a_template_is_refused(hub: ModelHub, folder: Path) -> None:
    hub.repositories[NAME].files["additional_chat_templates/../../x.jinja"] = b"x"
    with pytest.raises(UnsafeName):
        pull(WHOLE, folder)
    assert left_in(folder.parent) == set()


def test_one_gguf_file_is_fetched_by_name(hub: ModelHub, folder: Path) -> None:
    hub.add(NAME, {"small.gguf": b"GGUF small", "large.gguf": b"GGUF large"})
    small = pull(parse_reference(f"hf:{NAME}:small.gguf"), folder)
    large = pull(parse_reference(f"hf:{NAME}:large.gguf"), folder)
    assert (small.read_bytes(), large.read_bytes()) == (b"GGUF small", b"GGUF large")
    assert left_in(small.parent) == {"small.gguf", "fireside.json"}


def test_the_only_gguf_file_needs_no_name(hub: ModelHub, folder: Path) -> None:
    hub.add(NAME, {"only.gguf": b"GGUF"})
    assert pull(WHOLE, folder) == folder / "maker--model" / "only.gguf"


def test_several_gguf_files_are_named_instead_of_guessed(hub: ModelHub, folder: Path) -> None:
    hub.add(NAME, {"b.gguf": b"GGUF", "a.gguf": b"GGUF"})
    with pytest.raises(UnsuitableModel, match=r"2 models.*hf:maker/model:a\.gguf.*a\.gguf, b\.gguf"):
        pull(WHOLE, folder)
    with pytest.raises(UnknownModel, match=r"no file 'c\.gguf'.*a\.gguf, b\.gguf"):
        pull(parse_reference(f"hf:{NAME}:c.gguf"), folder)


@pytest.mark.parametrize("asked", ["", ":big-00001-of-00003.gguf", ":big-00002-of-00003.gguf"])
def test_all_parts_of_a_split_file_come(hub: ModelHub, folder: Path, asked: str) -> None:
    parts = {f"big-0000{part}-of-00003.gguf": b"GGUF%d" % part for part in (1, 2, 3)}
    hub.add(NAME, dict(parts))
    path = pull(parse_reference(f"hf:{NAME}{asked}"), folder)
    assert path.name == "big-00001-of-00003.gguf"
    assert left_in(path.parent) == {*parts, "fireside.json"}


def test_a_missing_part_is_known_beforehand(hub: ModelHub, folder: Path) -> None:
    hub.add(NAME, {"big-00001-of-00002.gguf": b"GGUF"})
    with pytest.raises(UnsuitableModel, match="lacks 1 of the 2 parts"):
        pull(parse_reference(f"hf:{NAME}:big-00001-of-00002.gguf"), folder)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"config.json": b"{}", "tokenizer.json": b"{}", "pytorch_model.bin": b"x"}, "pytorch_model.bin.*never loaded"),
        ({"README.md": b"x"}, "neither model.safetensors nor a .gguf file"),
        ({"model.safetensors": b"x", "tokenizer.json": b"{}"}, "no config.json"),
        ({"model.safetensors": b"x", "config.json": b"{}"}, "no tokenizer.json"),
    ],
)
def test_a_repository_without_a_usable_model_is_refused(
    hub: ModelHub, folder: Path, files: dict[str, bytes], words: str
) -> None:
    hub.add(NAME, files)
    with pytest.raises(UnsuitableModel, match=words):
        pull(WHOLE, folder)
    assert not hub.sent
