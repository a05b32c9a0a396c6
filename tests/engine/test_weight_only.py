"""Weights kept in 4 and 8 bits, against the numbers they were made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gguf import GGMLQuantizationType, quants

from engine import Engine, OutOfMemory, Sampling
from engine.checkpoint import open_checkpoint
from engine.checkpoint.weights import load_weights
from engine.memory import memory_need
from engine.model import Model
from engine.weight_only import GROUP, WeightOnly
from tests.parity.loaded import CPU, all_logits
from tests.recorder import Recorder
from tests.tiny import write_tiny_llama


def stored(kind: GGMLQuantizationType, outputs: int = 96, inputs: int = 128) -> torch.Tensor:
    """Random weights as a file of this kind gives them back, float32."""
    numbers = np.random.default_rng(1).standard_normal((outputs, inputs), np.float32)
    if kind is GGMLQuantizationType.Q4_0:  # the gguf package writes Q4_0 blocks whose largest is 8 steps from zero
        numbers[:, ::GROUP] *= 4
    return torch.from_numpy(quants.dequantize(quants.quantize(numbers, kind), kind))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("kind", "bits"),
    [
        (GGMLQuantizationType.Q4_0, 4),
        (GGMLQuantizationType.Q4_1, 4),
        (GGMLQuantizationType.Q8_0, 8),
        (GGMLQuantizationType.F32, 8),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_products_are_those_of_the_stored_weights(kind: GGMLQuantizationType, bits: int, dtype: torch.dtype) -> None:
    weight, bias = stored(kind).to(dtype), torch.randn(96).to(dtype)
    linear = WeightOnly(weight, bias)
    assert linear.bits == bits
    x = torch.randn(5, 128, generator=torch.Generator().manual_seed(2)).to(dtype)
    wanted = F.linear(x.double(), weight.double(), bias.double())
    exact = dtype is torch.float32 and kind is not GGMLQuantizationType.F32
    assert float((linear(x).double() - wanted).abs().max() / wanted.abs().max()) < (1e-5 if exact else 0.02)


def test_large_matrices_are_dequantised_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = stored(GGMLQuantizationType.Q4_1)
    whole, x = WeightOnly(weight), torch.randn(3, 128)
    expected = whole(x)
    monkeypatch.setattr("engine.weight_only.AT_ONCE", 128 * 40)
    parts = WeightOnly(weight)
    assert parts.bits == 4
    torch.testing.assert_close(parts(x), expected)


def test_what_is_no_whole_number_of_groups_is_kept() -> None:
    weight, x = torch.randn(8, 40), torch.randn(2, 40)
    linear = WeightOnly(weight)
    assert linear.bits == 32
    torch.testing.assert_close(linear(x), F.linear(x, weight))


def test_zeros_stay_zeros() -> None:
    assert not WeightOnly(torch.zeros(4, 64))(torch.randn(2, 64)).any()


@pytest.mark.parametrize("kind", [GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q8_0], ids=lambda kind: kind.name)
def test_a_model_computes_the_same(kind: GGMLQuantizationType, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_tiny_llama(tmp_path / "tiny.gguf", quantization=kind))
    tokens = list(range(3, 60))
    load = (checkpoint.source, checkpoint.layout, checkpoint.config, torch.float32, CPU)
    dense = all_logits(Model(checkpoint.config, load_weights(*load), 64), tokens)
    compact = all_logits(Model(checkpoint.config, load_weights(*load, linear=WeightOnly), 64), tokens)
    torch.testing.assert_close(compact, dense, rtol=1e-3, atol=1e-4 * float(dense.abs().max()))


def test_a_gpu_keeps_weights_in_few_bits_only_where_whole_numbers_do_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loader's own path, on the CPU, with the memory there is told otherwise."""
    path = write_tiny_llama(tmp_path / "tiny.gguf", quantization=GGMLQuantizationType.Q4_1, hidden=256, inner=512)
    checkpoint = open_checkpoint(path)
    need = memory_need(checkpoint, 256, torch.float32, CPU)
    compact = memory_need(checkpoint, 256, torch.float32, CPU, weight_only=True)
    assert compact.weights < need.weights / 3
    monkeypatch.setattr("engine.loading.is_gpu", lambda device: True)
    monkeypatch.setattr("engine.loading.CUDAGraphs", lambda device: Recorder())
    answers = []
    for free, kernels in ((need.total, "oneDNN packed"), (need.total - 1, "weight-only"), (compact.total - 1, None)):
        for room in ("engine.loading.available", "engine.memory.available"):
            monkeypatch.setattr(room, lambda device, free=free: free)
        if kernels is None:
            with pytest.raises(OutOfMemory, match=r"to work in\), but .* are free: choose"):
                Engine.load(path, device="cpu", kernels="torch")
            continue
        with Engine.load(path, device="cpu", kernels="torch") as engine:
            assert engine.info.kernels == f"{kernels}, CUDA graphs"
            run = engine.generate("Once", Sampling(temperature=0, max_tokens=8, ignore_eos=True))
            answers.append([step.token for step in run])
    assert answers[0] == answers[1]
