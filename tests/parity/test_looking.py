"""A look inside the model against transformers: attention, and what the last layer says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.looking import inspect
from engine.model import Chunk
from tests.parity.loaded import load_folder
from tests.parity.tiny_families import VOCABULARY, make, save

LENGTH = 40


# Grouped queries; a sliding window in the upper layers; squashed scores with a window in every second one.
@pytest.mark.parametrize("variant", ["llama", "qwen2-window", "gemma2"])
def test_attention_and_readouts_are_those_of_transformers(variant: str, tmp_path: Path) -> None:
    reference = make(variant)
    tokens = torch.arange(LENGTH) * 7 % (VOCABULARY - 3) + 3
    with torch.inference_mode():
        told = reference(tokens[None], output_attentions=True, output_hidden_states=True)
    model = load_folder(save(reference, tmp_path / variant))
    cache = model.new_cache(LENGTH)
    with torch.inference_mode():
        model.forward([Chunk(tokens[:-1], cache)])
    seen = inspect(model, cache, int(tokens[-1]), LENGTH - 1, lambda function: function(), attention=True, layers=True)
    assert seen.attention is not None
    assert seen.layers is not None
    expected = torch.stack([layer[0, :, -1] for layer in told.attentions])
    assert seen.attention.shape == expected.shape
    assert (seen.attention.sum(dim=-1) - 1).abs().max() < 1e-5
    assert (seen.attention - expected).abs().max() < 1e-4
    logits = told.logits[0, -1]
    assert len(seen.layers) == len(told.attentions) + 1
    assert (seen.layers[-1] - logits).abs().max() < 1e-4 * logits.abs().max()
