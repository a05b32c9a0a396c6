from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFReader

from engine import Engine, EngineError, ModelFormatError, ModelNotFound, UnsupportedModel
from engine.checkpoint.gguf_file import GGUFFile
from tests.tiny import write_tiny_llama


def load_error(path: Path) -> EngineError:
    with pytest.raises(EngineError) as caught:
        Engine.load(path, device="cpu").close()
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return caught.value


def test_reads_what_the_reference_reader_reads(tiny_path: Path) -> None:
    ours = GGUFFile(tiny_path)
    reference = GGUFReader(tiny_path)
    fields = {name: field.contents() for name, field in reference.fields.items() if not name.startswith("GGUF.")}
    assert ours.metadata == fields
    assert len(ours.tensors) == len(reference.tensors)
    for tensor in reference.tensors:
        mine = ours.tensors[tensor.name]
        assert mine.shape == tuple(reversed(tensor.shape.tolist()))
        assert ours.data(mine).tobytes() == tensor.data.tobytes()


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert isinstance(load_error(tmp_path / "no-such.gguf"), ModelNotFound)


def test_folder_without_a_model(tmp_path: Path) -> None:
    assert isinstance(load_error(tmp_path), ModelNotFound)


def test_folder_with_two_models(tmp_path: Path) -> None:
    write_tiny_llama(tmp_path / "a.gguf")
    write_tiny_llama(tmp_path / "b.gguf")
    assert "2 .gguf models" in str(load_error(tmp_path))


@pytest.mark.parametrize("content", [b"", b"GG", b"Dear diary, today", b"GGUF", b"GGUF\x03\0\0\0"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "renamed.gguf"
    path.write_bytes(content)
    assert isinstance(load_error(path), ModelFormatError)


@pytest.mark.parametrize("version", [0, 1, 4, 0x03000000])
def test_unknown_versions_are_refused(version: int, tiny_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "version.gguf"
    path.write_bytes(b"GGUF" + version.to_bytes(4, "little") + tiny_path.read_bytes()[8:])
    assert isinstance(load_error(path), UnsupportedModel)


def test_truncated_anywhere_is_refused(tiny_path: Path, tmp_path: Path) -> None:
    whole = tiny_path.read_bytes()
    path = tmp_path / "short.gguf"
    for length in [*range(0, 400, 7), *range(400, len(whole), len(whole) // 60), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert isinstance(load_error(path), ModelFormatError), length


@pytest.mark.parametrize("count", [2**63, 2**40, 2**32])
@pytest.mark.parametrize("where", [8, 16])
def test_absurd_counts_allocate_nothing(where: int, count: int, tiny_path: Path, tmp_path: Path) -> None:
    damaged = bytearray(tiny_path.read_bytes())
    damaged[where : where + 8] = count.to_bytes(8, "little")
    path = tmp_path / "counts.gguf"
    path.write_bytes(damaged)
    assert isinstance(load_error(path), ModelFormatError)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.block_count", 3),
        ("llama.block_count", 2**31),
        ("llama.attention.head_count", 0),
        ("llama.attention.head_count", 7),
        ("llama.attention.head_count_kv", 3),
        ("llama.embedding_length", 32),
        ("llama.feed_forward_length", 2**30),
        ("llama.context_length", 0),
        ("llama.rope.dimension_count", 7),
        ("llama.rope.dimension_count", 1000),
        ("llama.expert_count", 8),
    ],
)
def test_numbers_that_do_not_fit_are_refused(key: str, value: int, tmp_path: Path) -> None:
    load_error(write_tiny_llama(tmp_path / "odd.gguf", metadata={key: value}))
