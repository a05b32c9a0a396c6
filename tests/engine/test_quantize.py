"""A model in fewer bits than its files have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from gguf import GGMLQuantizationType

from engine import Engine, EngineError, OutOfMemory, Sampling
from engine.checkpoint import open_checkpoint
from engine.checkpoint.quantize import KEPT, quantized
from tests.tiny import write_tiny_llama
from tests.tiny_folder import write_tiny_folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where quantised models are kept, for a test alone."""
    folder = tmp_path / "cache"
    monkeypatch.setattr("engine.checkpoint.quantize.platformdirs.user_cache_dir", lambda _: str(folder))
    return folder / "quantized"


def error_of(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).pow(2).mean().sqrt() / expected.pow(2).mean().sqrt())


@pytest.mark.parametrize(("quantize", "kind", "most"), [("int4", "Q4_1", 0.1), ("int8", "Q8_0", 0.01)])
def test_matrices_are_rounded_and_the_rest_is_kept(
    tmp_path: Path, cache: Path, quantize: str, kind: str, most: float
) -> None:
    checkpoint = open_checkpoint(write_tiny_llama(tmp_path / "tiny.gguf"))
    source = quantized(checkpoint.source, checkpoint.layout, quantize)
    for name, stored in source.tensors.items():
        matrix = len(stored.shape) == 2
        assert stored.quantization == (("Q8_0" if name == "token_embd.weight" else kind) if matrix else "F32")
        assert stored.shape == checkpoint.source.tensors[name].shape
        wrong = error_of(source.load(name), checkpoint.source.load(name))
        assert (0 < wrong < most) if matrix else wrong == 0


def test_a_folder_runs_quantised_by_native_kernels_and_by_torch(tmp_path: Path, cache: Path) -> None:
    folder = write_tiny_folder(tmp_path / "folder")
    greedy = Sampling(temperature=0, max_tokens=16, ignore_eos=True)
    answers = []
    for kernels in ("torch", "auto"):
        with Engine.load(folder, device="cpu", quantize="int8", kernels=kernels) as engine:
            assert engine.info.quantization == "Q8_0"
            assert engine.info.bits < 12
            answers.append([step.token for step in engine.generate("Once", greedy)])
    assert answers[0] == answers[1]
    with Engine.load(folder, device="cpu") as engine:
        assert engine.info.quantization != "Q8_0"


def test_what_is_kept_is_used_again_and_checked(tmp_path: Path, cache: Path) -> None:
    path = write_tiny_llama(tmp_path / "tiny.gguf")
    heard: list[float] = []

    def load() -> torch.Tensor:
        checkpoint = open_checkpoint(path)
        heard.clear()
        source = quantized(checkpoint.source, checkpoint.layout, "int8", on_progress=heard.append)
        return source.load("blk.0.attn_q.weight")

    first = load()
    assert heard[-1] == 1.0
    assert torch.equal(load(), first)
    assert not heard
    (kept,) = cache.glob("*.gguf")
    data = bytearray(kept.read_bytes())
    data[-100] ^= 1
    kept.write_bytes(data)
    assert torch.equal(load(), first)
    assert heard  # it was made again
    kept.with_suffix(".sha256").unlink()
    assert torch.equal(load(), first)
    assert heard
    # Another model at the same place is another model.
    write_tiny_llama(path, seed=1)
    assert not torch.equal(load(), first)
    assert not list(cache.glob("*.part"))


def test_only_so_many_are_kept(tmp_path: Path, cache: Path) -> None:
    for seed in range(KEPT + 2):
        checkpoint = open_checkpoint(write_tiny_llama(tmp_path / f"{seed}.gguf", seed=seed))
        quantized(checkpoint.source, checkpoint.layout, "int4")
    assert len(list(cache.glob("*.gguf"))) == KEPT
    assert len(list(cache.glob("*.sha256"))) == KEPT


def test_quantised_models_are_left_alone_and_nonsense_is_refused(tmp_path: Path, cache: Path) -> None:
    checkpoint = open_checkpoint(write_tiny_llama(tmp_path / "q.gguf", quantization=GGMLQuantizationType.Q4_1))
    assert quantized(checkpoint.source, checkpoint.layout, "int8") is checkpoint.source
    with pytest.raises(EngineError, match="int4 or int8"):
        quantized(checkpoint.source, checkpoint.layout, "int3")
    assert not cache.exists()


def test_a_full_disk_is_told_with_the_figures(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = open_checkpoint(write_tiny_llama(tmp_path / "tiny.gguf"))
    monkeypatch.setattr("engine.checkpoint.quantize.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(OutOfMemory, match=r"needs 0\.1 MB on disk"):
        quantized(checkpoint.source, checkpoint.layout, "int4")
