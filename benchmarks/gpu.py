"""How fast a GPU decodes: a 7B shape against its memory's bandwidth, the default model beside transformers.

    python -m benchmarks.gpu          # writes benchmarks/RESULTS-gpu.md; ends with 1 where there is no GPU

The 7B shape is Llama 2's (arXiv:2307.09288) with random weights: how long a step takes does not depend on them. The
share of the bandwidth counts the bytes of the matrices, each of which a step reads once, and of the keys and values
it looks at; the bandwidth is that of a copy on the same device, or what --bandwidth says. transformers decodes the
same file in bfloat16 with a static cache, which it compiles.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from app.home import models_folder
from engine import Engine, Sampling
from engine.config import LayerConfig, ModelConfig
from engine.linear import Dense
from engine.mlp import GatedMLP
from engine.model import Chunk, ForwardPass, LayerWeights, Model, ModelWeights
from engine.norm import RMSNorm
from engine.recording import CUDAGraphs
from engine.rope import Rope
from engine.static_model import StaticModel
from weights import DEFAULT, fetch

RESULTS = Path(__file__).parent / "RESULTS-gpu.md"
PROMPT_TOKENS = 128
NEW_TOKENS = 128
COPIED_BYTES = 2**31


def llama_7b(context: int) -> ModelConfig:
    """The shape of Llama 2 7B."""
    return ModelConfig(
        family="llama",
        layers=(LayerConfig(Rope(10_000.0, 128)),) * 32,
        hidden_size=4096,
        intermediate_size=11_008,
        num_heads=32,
        num_kv_heads=32,
        head_dim=128,
        vocab_size=32_000,
        context_length=context,
        norm_eps=1e-5,
        attention_scale=128**-0.5,
    )


def random_model(config: ModelConfig, dtype: torch.dtype, device: torch.device) -> Model:
    """A gated model of this shape whose weights are noise, small enough that all numbers stay finite."""

    def matrix(outputs: int, inputs: int) -> torch.Tensor:
        return torch.randn(outputs, inputs, dtype=dtype, device=device).mul_(inputs**-0.5)

    def norm() -> RMSNorm:
        return RMSNorm(torch.ones(hidden, dtype=dtype, device=device), config.norm_eps)

    hidden, inner, heads = config.hidden_size, config.intermediate_size, config.num_heads * config.head_dim
    rows = heads + 2 * config.num_kv_heads * config.head_dim
    layers = []
    for _ in config.layers:
        mlp = GatedMLP(Dense(matrix(2 * inner, hidden)), Dense(matrix(hidden, inner)), config.activation)
        qkv, output = Dense(matrix(rows, hidden)), Dense(matrix(hidden, heads))
        layers.append(LayerWeights(norm(), qkv, None, None, output, None, norm(), mlp, None))
    weights = ModelWeights(
        matrix(config.vocab_size, hidden), None, tuple(layers), norm(), Dense(matrix(config.vocab_size, hidden))
    )
    return Model(config, weights, config.context_length)


def bytes_of_a_step(config: ModelConfig, tokens: int, dtype: torch.dtype) -> int:
    """What a step of one sequence reads that looks at `tokens`: every matrix once, keys and values."""
    hidden, heads = config.hidden_size, config.num_heads * config.head_dim
    rows = heads + 2 * config.num_kv_heads * config.head_dim
    a_layer = hidden * rows + heads * hidden + 3 * hidden * config.intermediate_size
    numbers = len(config.layers) * a_layer + config.vocab_size * hidden + tokens * config.kv_numbers_per_token
    return numbers * dtype.itemsize


def step_seconds(model: ForwardPass, prompt: int, steps: int) -> float:
    """The median time of a decode step after a prompt, from a token on the CPU to the next one there."""
    cache = model.new_cache(prompt + 2 * steps)
    tokens = torch.randint(0, model.config.vocab_size, (prompt,), device=model.device)
    token = int(model.forward([Chunk(tokens, cache)]).argmax())
    times = []
    for _ in range(2 * steps):  # the first half warms up, and records what is to be recorded
        begin = time.perf_counter()
        token = int(model.forward([Chunk(torch.tensor([token], device=model.device), cache)]).argmax())
        times.append(time.perf_counter() - begin)
    return statistics.median(times[steps:])


def copy_bandwidth(device: torch.device) -> float:
    """Bytes a second that a copy on the device reads and writes."""
    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    times = []
    for _ in range(10):
        torch.cuda.synchronize(device)
        begin = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return 2 * COPIED_BYTES / min(times)


def fireside_speed(path: Path, prompt: list[int]) -> tuple[float, str]:
    """Tokens a second of an answer by the engine, and its kernels."""
    with Engine.load(path, device="cuda") as engine:
        for _ in range(2):
            run = engine.generate(prompt, Sampling(temperature=0, max_tokens=NEW_TOKENS, ignore_eos=True))
            for _ in run:
                pass
        return run.stats.tokens_per_second, engine.info.kernels


def transformers_speed(path: Path, prompt: list[int]) -> float:
    """Tokens a second of an answer with a static cache, which transformers compiles; the prompt's time is taken off."""
    transformers: Any = import_module("transformers")
    load = {"gguf_file": path.name, "dtype": torch.bfloat16}
    model = transformers.AutoModelForCausalLM.from_pretrained(path.parent, **load).eval().cuda()
    inputs = torch.tensor([prompt], device="cuda")

    def seconds(count: int) -> float:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        options = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False}
        model.generate(inputs, attention_mask=torch.ones_like(inputs), cache_implementation="static", **options)
        torch.cuda.synchronize()
        return time.perf_counter() - begin

    for count in (NEW_TOKENS, NEW_TOKENS, 1):
        seconds(count)  # compiles
    return (NEW_TOKENS - 1) / (seconds(NEW_TOKENS) - seconds(1))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast a GPU decodes.")
    parser.add_argument("--bandwidth", type=float, help="of the GPU's memory in TB/s, by default that of a copy")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("there is no GPU that torch can use here: nothing was measured")
    device, dtype = torch.device("cuda"), torch.bfloat16
    bandwidth = arguments.bandwidth * 1e12 if arguments.bandwidth else copy_bandwidth(device)
    config = llama_7b(1024)
    large = StaticModel(random_model(config, dtype, device), 1, CUDAGraphs(device))
    seconds = step_seconds(large, PROMPT_TOKENS, NEW_TOKENS)
    share = bytes_of_a_step(config, PROMPT_TOKENS + NEW_TOKENS * 3 // 2, dtype) / seconds / bandwidth
    recorded = large.recorded
    large.close()
    del large
    torch.cuda.empty_cache()
    path = fetch(DEFAULT, models_folder())
    prompt = torch.randint(100, 40_000, (PROMPT_TOKENS,), generator=torch.Generator().manual_seed(1)).tolist()
    ours, kernels = fireside_speed(path, prompt)
    theirs = transformers_speed(path, prompt)
    source = "as given" if arguments.bandwidth else "that of a copy"
    machine = f"{torch.cuda.get_device_name(device)}, {bandwidth / 1e12:.2f} TB/s ({source})"
    packages = f"torch {torch.__version__}, transformers {version('transformers')}"
    large_speed = f"{1 / seconds:.0f} tok/s, {share:.0%} of the bandwidth"
    graphs = "recorded" if recorded else "not recorded"
    lines = [
        "# Measured on a GPU",
        "",
        f"`python -m benchmarks.gpu` on {datetime.date.today()}; {machine}, {packages}.",
        "",
        "| what | measured | at least | aim |",
        "| --- | --- | --- | --- |",
        f"| decode of a 7B-shaped bf16 model, one sequence, steps {graphs} | {large_speed} | 60% | 80% |",
        f"| {DEFAULT.name} bf16, one sequence, kernels: {kernels} | {ours:.0f} tok/s | | |",
        f"| the same by transformers, static cache, compiled | {theirs:.0f} tok/s, {ours / theirs:.2f}x | 1x | 2x |",
    ]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
