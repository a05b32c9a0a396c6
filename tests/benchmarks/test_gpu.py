"""What the GPU benchmark measures with, at a size the CPU computes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from benchmarks.gpu import bytes_of_a_step, llama_7b, random_model, step_seconds
from engine.static_model import StaticModel
from tests.parity.loaded import CPU
from tests.recorder import Recorder


def test_a_random_model_takes_steps() -> None:
    config = replace(
        llama_7b(64), hidden_size=64, intermediate_size=96, num_heads=2, num_kv_heads=2, head_dim=128, vocab_size=50,
        layers=llama_7b(64).layers[:2],
    )  # fmt: skip
    model = StaticModel(random_model(config, torch.float32, CPU), 1, Recorder())
    assert 0 < step_seconds(model, 8, 6) < 1


def test_a_step_of_the_large_shape_reads_its_parameters() -> None:
    config = llama_7b(1024)
    # Llama 2 7B has 6,738,415,616 parameters; the embedding is not read whole, and norms are 266,240 of them.
    matrices = 6_738_415_616 - 32_000 * 4096 - 266_240
    assert bytes_of_a_step(config, 0, torch.bfloat16) == 2 * matrices
    assert bytes_of_a_step(config, 1, torch.bfloat16) - 2 * matrices == 2 * 2 * 32 * 4096


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_fails() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks.gpu"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "there is no GPU that torch can use here: nothing was measured\n"
