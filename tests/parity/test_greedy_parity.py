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


@pytest.fixture(scope="module")
def engine(model_path: Path) -> Iterator[Engine]:
    with Engine.load(model_path, device="cpu") as engine:
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


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_tokens_equal_transformers(engine: Engine, reference: Any, prompt: str) -> None:
    ids = prompt_tokens(engine, prompt)
    run = engine.generate(ids, Sampling(temperature=0, max_tokens=NEW_TOKENS))
    ours = [step.token for step in run]
    with torch.inference_mode():
        output = reference.generate(
            torch.tensor([ids]), max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=2, pad_token_id=2
        )
    assert ours == output[0, len(ids) :].tolist()


def test_logits_equal_transformers(engine: Engine, reference: Any) -> None:
    ids = prompt_tokens(engine, " ".join(PROMPTS))
    with torch.inference_mode():
        expected = reference(torch.tensor([ids])).logits[0].float()
    error = (engine.logits(ids) - expected).abs().max() / expected.abs().max()
    assert float(error) < 1e-4


def test_decodes_at_four_thousand_tokens(engine: Engine, reference: Any) -> None:
    ids = (prompt_tokens(engine, " ".join(PROMPTS)) * 60)[:4000]
    run = engine.generate(ids, Sampling(temperature=0, max_tokens=8, ignore_eos=True))
    ours = [step.token for step in run]
    assert run.stats.prompt_tokens == 4000
    with torch.inference_mode():
        logits = reference(torch.tensor([[*ids, *ours]]), logits_to_keep=len(ours) + 1).logits[0, :-1]
    assert ours == logits.argmax(dim=-1).tolist()
