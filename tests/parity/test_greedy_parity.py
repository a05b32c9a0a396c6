"""The default model answers as two independent implementations of it do, from the same file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import Engine, Sampling

PROMPTS = [
    "What is the capital of France?",
    "Write a short poem about the sea.",
    "Explain in two sentences why the sky is blue.",
    "Write a Python function that reverses a string.",
    "Translate to French: Good morning, my friend.",
]
NEW_TOKENS = 64
EOS = 2


# Of the largest logit, by what computes it: float32, and weights of 4 bits by activations of 16.
TOLERANCES = {"torch": 1e-4, "native": 1e-3}


@pytest.fixture(scope="module", params=TOLERANCES)
def engine(request: pytest.FixtureRequest, model_path: Path) -> Iterator[Engine]:
    if request.param == "native":
        pytest.importorskip("numba")
    with Engine.load(model_path, device="cpu", kernels=request.param) as engine:
        yield engine


@pytest.fixture(scope="module")
def reference(model_path: Path) -> Any:
    """transformers' Llama on the same file, dequantised to float32 by the `gguf` library."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        model_path.parent, gguf_file=model_path.name, dtype=torch.float32
    ).eval()


def prompt_tokens(engine: Engine, prompt: str) -> list[int]:
    return engine.chat_tokens([{"role": "user", "content": prompt}])


def likeliest(reference: Any, prompt: list[int], answer: list[int | None]) -> list[int]:
    """What the reference finds likeliest after the prompt and after each token of the answer but the last.

    An answer that equals it is the greedy one: by induction, the tokens before each are those the reference chose.
    """
    with torch.inference_mode():
        logits = reference(torch.tensor([[*prompt, *answer]]), logits_to_keep=len(answer) + 1).logits
    return logits[0, :-1].argmax(dim=-1).tolist()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_tokens_equal_transformers(engine: Engine, reference: Any, prompt: str) -> None:
    ids = prompt_tokens(engine, prompt)
    steps = list(engine.generate(ids, Sampling(temperature=0, max_tokens=NEW_TOKENS)))
    ours = [step.token for step in steps]
    assert len(ours) == NEW_TOKENS or (ours[-1] == EOS and steps[-1].finish_reason == "stop")
    assert ours == likeliest(reference, ids, ours)


def test_logits_equal_transformers(engine: Engine, reference: Any) -> None:
    ids = prompt_tokens(engine, " ".join(PROMPTS))
    with torch.inference_mode():
        expected = reference(torch.tensor([ids])).logits[0].float()
    error = (engine.logits(ids) - expected).abs().max() / expected.abs().max()
    assert float(error) < TOLERANCES["native" if engine.info.kernels == "native" else "torch"]


@pytest.mark.parametrize("length", [1000, pytest.param(4000, marks=pytest.mark.slow)])
def test_decodes_after_a_long_prompt(engine: Engine, reference: Any, length: int) -> None:
    ids = (prompt_tokens(engine, " ".join(PROMPTS)) * 60)[:length]
    run = engine.generate(ids, Sampling(temperature=0, max_tokens=8, ignore_eos=True))
    ours = [step.token for step in run]
    assert run.stats.prompt_tokens == length
    assert ours == likeliest(reference, ids, ours)
