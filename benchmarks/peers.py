"""Fireside and those it is measured beside, behind one interface: a prompt in, how long its answer took out."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from engine import Engine, Sampling


class Timing(NamedTuple):
    """Of one answer. Speeds are tokens per second; first_token is seconds from the question to it."""

    prefill: float
    decode: float
    first_token: float


class Contender(Protocol):
    """Something that answers prompts of token ids greedily with a fixed number of tokens."""

    name: str

    def answer(self, prompt: Sequence[int], new_tokens: int, *, reuse: bool = False) -> Timing:
        """reuse: what the cache holds of the prompt need not be computed again."""
        ...


class Fireside:
    """The engine in this process."""

    name = "Fireside"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def answer(self, prompt: Sequence[int], new_tokens: int, *, reuse: bool = False) -> Timing:
        run = self.engine.generate(prompt, Sampling(temperature=0, max_tokens=new_tokens, ignore_eos=True))
        for _ in run:
            pass
        stats = run.stats
        computed = stats.prompt_tokens - stats.cached_tokens
        if not reuse and stats.cached_tokens > 8:
            raise RuntimeError(f"{stats.cached_tokens} tokens of a prompt that should be new were cached")
        return Timing(computed / stats.prefill_seconds, stats.tokens_per_second, stats.ttft_seconds)


class LlamaCpp:
    """llama.cpp's own HTTP server, as the xllamacpp wheel runs it in this process."""

    name = "llama.cpp"

    def __init__(self, path: Path, threads: int, *, context: int, slots: int = 1) -> None:
        xllamacpp: Any = import_module("xllamacpp")
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context * slots
        params.n_parallel = slots
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        # The server stops when it is collected.
        self._server = xllamacpp.Server(params)

    def answer(self, prompt: Sequence[int], new_tokens: int, *, reuse: bool = False) -> Timing:
        body = {"prompt": list(prompt), "n_predict": new_tokens, "temperature": 0, "cache_prompt": reuse,
                "ignore_eos": True}  # fmt: skip
        address = f"{self._server.listening_address}/completion"
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            timings = json.load(response)["timings"]
        return Timing(timings["prompt_per_second"], timings["predicted_per_second"], timings["prompt_ms"] / 1e3)


class Transformers:
    """What a Python user would write: `generate` with its default cache."""

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        from transformers import AutoModelForCausalLM

        self.name = f"transformers, {str(dtype).removeprefix('torch.')}"
        self._model: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=dtype).eval()

    def answer(self, prompt: Sequence[int], new_tokens: int, *, reuse: bool = False) -> Timing:
        first = self._generate(prompt, 1)
        whole = self._generate(prompt, new_tokens)
        return Timing(len(prompt) / first, (new_tokens - 1) / (whole - first), first)

    @torch.inference_mode()
    def _generate(self, prompt: Sequence[int], count: int) -> float:
        options = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False, "pad_token_id": 2}
        started = time.perf_counter()
        self._model.generate(torch.tensor([list(prompt)]), **options)
        return time.perf_counter() - started


def together(contender: Contender, prompts: Sequence[Sequence[int]], new_tokens: int) -> float:
    """Answer several prompts at once: new tokens of all of them per second, from the first question to the last end."""
    with ThreadPoolExecutor(len(prompts)) as threads:
        started = time.perf_counter()
        list(threads.map(lambda prompt: contender.answer(prompt, new_tokens), prompts))
        return len(prompts) * new_tokens / (time.perf_counter() - started)
