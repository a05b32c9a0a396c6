"""How exactly Fireside and llama.cpp compute the same file: divergence from its float32 form, on the same tokens.

    make quality          # or: python -m benchmarks.quality --tokens 600

Writes benchmarks/RESULTS-quality.md. The reference is transformers on the weights that the `gguf` package dequantises
to float32, so it shares no code with either. The text is the one that `fireside doctor --quality` measures with.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import urllib.request
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.cli.doctor import RUNNING_TEXT
from app.home import models_folder
from engine import Engine
from engine.checkpoint import open_checkpoint
from engine.quality import compare, perplexity, text_tokens
from weights import DEFAULT, fetch

RESULTS = Path(__file__).parent / "RESULTS-quality.md"


def reference(path: Path, tokens: list[int]) -> Tensor:
    """Logits after each token, float32 [T, vocab], by transformers."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    with torch.inference_mode():
        return model(torch.tensor([tokens])).logits[0].float()


def fireside(path: Path, tokens: list[int]) -> tuple[Tensor, Tensor, str]:
    """Logits after each token computed as a prompt, and one by one as an answer; and the kernels that did it."""
    with Engine.load(path, device="cpu") as engine:
        engine.wait_for_kernels()
        return engine.logits(tokens), engine.logits(tokens, chunk=1), engine.info.kernels


def llama_cpp(path: Path, tokens: list[int], vocabulary: int, threads: int) -> Tensor:
    """Log-probabilities after each token, float64 [T, vocab].

    The server is asked for one token after each beginning of the text, of which its cache holds all but the last
    token, so each is computed as the tokens of an answer are. It gives the whole vocabulary's log-probabilities, so
    nothing of the tail has to be guessed.
    """
    xllamacpp: Any = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = 2048
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)
    found = torch.full((len(tokens), vocabulary), float("nan"), dtype=torch.float64)
    for count in range(1, len(tokens) + 1):
        body = {"prompt": tokens[:count], "n_predict": 1, "temperature": 0, "cache_prompt": True, "n_probs": vocabulary}
        request = urllib.request.Request(
            f"{server.listening_address}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            answer = json.load(response)
        assert answer["tokens_evaluated"] == count, "llama.cpp computed another prompt than it was given"
        for entry in answer["completion_probabilities"][0]["top_logprobs"]:
            found[count - 1, entry["id"]] = entry["logprob"]
    assert bool(found.isfinite().all()), "llama.cpp left tokens out"
    return found


def table(expected: Tensor, contenders: dict[str, Tensor], tokens: list[int]) -> str:
    lines = [
        "| against float32 | KL mean | KL max | same likeliest token | perplexity |",
        "| --- | --- | --- | --- | --- |",
        f"| the reference itself | | | | {perplexity(expected, tokens):.4f} |",
    ]
    for name, logits in contenders.items():
        fidelity = compare(expected, logits)
        lines.append(
            f"| {name} | {fidelity.kl_mean:.3g} | {fidelity.kl_max:.3g} | {fidelity.agreement:.2%} "
            f"| {perplexity(logits, tokens):.4f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1000, help="at most; the text has some 750")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    path = fetch(DEFAULT, models_folder())
    checkpoint = open_checkpoint(path)
    tokens = text_tokens(checkpoint, RUNNING_TEXT.read_text(encoding="utf-8"))[: options.tokens]
    expected = reference(path, tokens)
    prompt, answer, kernels = fireside(path, tokens)
    peer = llama_cpp(path, tokens, checkpoint.config.vocab_size, options.threads)
    contenders = {"Fireside, as a prompt": prompt, "Fireside, as an answer": answer, "llama.cpp, as an answer": peer}
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "gguf", "xllamacpp"))
    RESULTS.write_text(
        f"# Measured exactness\n\n`python -m benchmarks.quality --tokens {len(tokens)} --threads {options.threads}`, "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}; "
        f"{checkpoint.name}, {checkpoint.quantization}, kernels: {kernels}.\n\n"
        f"{table(expected, contenders, tokens)}\n\n"
        f"{len(tokens)} tokens of running English text, each context from the first token on. KL is the "
        "Kullback-Leibler divergence of each next-token distribution, over the whole vocabulary and in nats, from that "
        "of transformers with the same file dequantised to float32.\n",
        encoding="utf-8",
    )
    print(RESULTS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
