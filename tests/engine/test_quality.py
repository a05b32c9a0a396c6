from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from gguf import GGMLQuantizationType

from engine import Engine, InvalidPrompt
from engine.checkpoint import open_checkpoint
from engine.quality import MAX_DIVERGENCE, compare, measure, perplexity, reference_logits, text_tokens
from tests.tiny import write_tiny_llama

TEXT = (Path(__file__).resolve().parents[2] / "app/cli/quality.txt").read_text(encoding="utf-8")


def test_perplexity_of_a_uniform_guess_is_the_vocabulary() -> None:
    assert perplexity(torch.zeros(100, 50), list(range(50)) * 2) == pytest.approx(50.0)


def test_perplexity_is_of_the_token_that_follows() -> None:
    tokens = [3, 1, 4, 1, 5]
    logits = torch.full((5, 10), -1e9)
    logits[torch.arange(4), torch.tensor(tokens[1:])] = 0.0
    assert perplexity(logits, tokens) == pytest.approx(1.0)
    assert perplexity(logits.roll(1, 0), tokens) > 1e6


def test_divergence_is_kullback_and_leibler_s() -> None:
    p, q = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.25, 0.5, 0.25])
    fidelity = compare(torch.stack([p.log(), p.log() + 7.0]), torch.stack([p.log() - 3.0, q.log()]))
    expected = 0.5 * math.log(2) - 0.25 * math.log(2)
    assert fidelity.tokens == 2
    assert fidelity.kl_max == pytest.approx(expected, abs=1e-6)
    assert fidelity.kl_mean == pytest.approx(expected / 2, abs=1e-6)
    assert fidelity.agreement == 0.5


def test_a_tiny_model_is_measured_as_far_as_its_context_goes(tmp_path: Path) -> None:
    path = write_tiny_llama(tmp_path / "tiny.gguf", quantization=GGMLQuantizationType.Q8_0)
    quality = measure(path, TEXT)
    assert quality.tokens == quality.prompt.tokens == quality.answer.tokens == 256
    assert quality.perplexity > 50  # it is random
    assert quality.prompt.kl_max < 1e-6
    assert quality.answer.kl_max < 1e-6
    with pytest.raises(InvalidPrompt, match="longer"):
        measure(path, "a")


def test_the_measure_sees_a_model_that_is_a_little_off(tmp_path: Path) -> None:
    sound = open_checkpoint(write_tiny_llama(tmp_path / "a.gguf"))
    rounded = open_checkpoint(write_tiny_llama(tmp_path / "b.gguf", quantization=GGMLQuantizationType.Q4_0))
    tokens = text_tokens(sound, TEXT)[:64]
    fidelity = compare(reference_logits(sound, tokens), reference_logits(rounded, tokens))
    assert fidelity.kl_mean > MAX_DIVERGENCE
    assert fidelity.agreement < 1.0


@pytest.mark.parametrize("count", [64, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_default_model_is_computed_as_exactly_as_promised(count: int, model_path: Path) -> None:
    checkpoint = open_checkpoint(model_path)
    tokens = text_tokens(checkpoint, TEXT)[:count]
    reference = reference_logits(checkpoint, tokens)
    with Engine.load(model_path, device="cpu") as engine:
        for chunk in (512, 1):
            fidelity = compare(reference, engine.logits(tokens, chunk=chunk))
            assert fidelity.kl_mean <= MAX_DIVERGENCE
            assert fidelity.agreement >= 0.97
    assert count < 500 or (len(tokens) >= 500 and perplexity(reference, tokens) < 40)
