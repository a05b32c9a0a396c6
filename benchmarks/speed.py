"""Decode and prefill speed beside llama.cpp and transformers: the same file, the same threads, one run, in turn.

    make bench            # or: python -m benchmarks.speed --rounds 5

Writes benchmarks/RESULTS.md. Only the ratios mean something on another machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from app.home import models_folder
from engine import Engine, Run, Sampling
from weights import DEFAULT, fetch

PROMPT_TOKENS = 512
NEW_TOKENS = 64
RESULTS = Path(__file__).parent / "RESULTS.md"


@dataclass
class Speeds:
    """Tokens per second of one contender, a number a round."""

    prefill: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)


Contender = Callable[[list[int]], tuple[float, float]]
"""Answers a prompt of token ids and tells its prefill and decode speed, in tokens per second."""


def fireside(engine: Engine) -> Contender:
    greedy = Sampling(temperature=0, max_tokens=NEW_TOKENS, ignore_eos=True)

    def measure(prompt: list[int]) -> tuple[float, float]:
        run: Run = engine.generate(prompt, greedy)
        for _ in run:
            pass
        computed = run.stats.prompt_tokens - run.stats.cached_tokens
        return computed / run.stats.prefill_seconds, run.stats.tokens_per_second

    return measure


def llama_cpp(path: Path, threads: int) -> tuple[Contender, Any]:
    xllamacpp: Any = import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = 2048
    params.n_parallel = 1
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)

    def measure(prompt: list[int]) -> tuple[float, float]:
        body = {
            "prompt": prompt, "n_predict": NEW_TOKENS, "temperature": 0, "cache_prompt": False, "ignore_eos": True,
        }  # fmt: skip
        request = urllib.request.Request(
            f"{server.listening_address}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            timings = json.load(response)["timings"]
        return timings["prompt_per_second"], timings["predicted_per_second"]

    # The server stops when it is collected, so the caller keeps it.
    return measure, server


def transformers(path: Path, dtype: torch.dtype) -> Contender:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=dtype).eval()

    def generate(prompt: list[int], count: int) -> float:
        started = time.perf_counter()
        model.generate(
            torch.tensor([prompt]), max_new_tokens=count, min_new_tokens=count, do_sample=False, pad_token_id=2
        )
        return time.perf_counter() - started

    def measure(prompt: list[int]) -> tuple[float, float]:
        with torch.inference_mode():
            first = generate(prompt, 1)
            whole = generate(prompt, NEW_TOKENS)
        return len(prompt) / first, (NEW_TOKENS - 1) / (whole - first)

    return measure


def prompts(rounds: int) -> list[list[int]]:
    """A prompt a round, all different from their first token on, so that no cache helps."""
    return [
        [(7919 * (index + 1) + 31 * place) % 40_000 + 300 for place in range(PROMPT_TOKENS)] for index in range(rounds)
    ]


def table(speeds: dict[str, Speeds]) -> str:
    ours = speeds["Fireside"]
    lines = [
        f"| tok/s, median (spread) | prefill of {PROMPT_TOKENS} | then decode of {NEW_TOKENS} | Fireside against it |",
        "| --- | --- | --- | --- |",
    ]
    for name, speed in speeds.items():
        ratio = [
            statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
            for mine, theirs in ((ours.prefill, speed.prefill), (ours.decode, speed.decode))
        ]
        cells = [
            f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
            for values in (speed.prefill, speed.decode)
        ]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {ratio[0]:.2f}x, {ratio[1]:.2f}x |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    path = fetch(DEFAULT, models_folder())
    started = time.perf_counter()
    engine = Engine.load(path, threads=options.threads)
    load_seconds = time.perf_counter() - started
    peer, server = llama_cpp(path, options.threads)
    contenders = {
        "Fireside": fireside(engine),
        "llama.cpp": peer,
        "transformers, float32": transformers(path, torch.float32),
        "transformers, bfloat16": transformers(path, torch.bfloat16),
    }
    speeds = {name: Speeds() for name in contenders}
    # The first prompt warms everybody up and is not counted.
    for index, prompt in enumerate(prompts(options.rounds + 1)):
        for name, measure in contenders.items():
            prefill, decode = measure(prompt)
            if index:
                speeds[name].prefill.append(prefill)
                speeds[name].decode.append(decode)
    del server
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "xllamacpp"))
    RESULTS.write_text(
        f"# Measured speed\n\n`python -m benchmarks.speed --rounds {options.rounds} --threads {options.threads}`, "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}; "
        f"{engine.info.name}, {engine.info.quantization}, kernels: {engine.info.kernels}.\n\n"
        f"{table(speeds)}\n\nMedians of {options.rounds} interleaved rounds; a ratio is the median of the rounds' "
        f"ratios. Loading took Fireside {load_seconds:.1f} s.\n"
    )
    engine.close()
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
