"""What the inside of a token looks like, against transformers' own attention and hidden states."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from engine import Engine, InvalidPrompt
from engine.looking import inspect, refuse_too_many
from engine.model import Chunk, Model
from tests.parity.loaded import load_folder
from tests.parity.tiny_families import VARIANTS, VOCABULARY, make, save

# Grouped heads; windows and softcaps; learned positions and no groups; windows on some layers; norms of heads.
FAMILIES = [name for name in ("llama", "gemma2", "gpt2", "gemma3", "qwen3") if name in VARIANTS]


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[PreTrainedModel, Model]:
    reference = make(request.param)
    model = load_folder(save(reference, tmp_path_factory.mktemp(request.param)))
    reference.set_attn_implementation("eager")
    return reference, model


@pytest.mark.parametrize(("length", "position"), [(1, 0), (60, 59), (60, 20), (150, 149)])
@torch.inference_mode()
def test_attention_and_layers_are_transformers(pair: tuple[PreTrainedModel, Model], length: int, position: int) -> None:
    reference, model = pair
    tokens = random.Random(length).choices(range(3, VOCABULARY), k=length)
    cache = model.new_cache(length)
    if position:
        model.forward([Chunk(torch.tensor(tokens[:position]), cache)])

    def call(function: Callable[[], torch.Tensor]) -> torch.Tensor:
        return function()

    found = inspect(model, cache, tokens[position], position, call, attention=True, layers=True)
    expected = reference(torch.tensor([tokens]), output_attentions=True, output_hidden_states=True)
    assert found.attention is not None
    assert found.layers is not None
    attention = torch.stack([each[0, :, position, : position + 1] for each in expected.attentions])
    assert found.attention.shape == attention.shape
    assert torch.allclose(found.attention, attention, atol=1e-4)
    assert torch.allclose(found.attention.sum(-1), torch.ones(attention.shape[:2]), atol=1e-5)
    # All but the last of transformers' hidden states are before the final norm, as ours are.
    layers = model.logits(torch.stack([each[0, position] for each in expected.hidden_states[:-1]]))
    assert torch.allclose(found.layers[:-1], layers, atol=1e-4 * float(layers.abs().max()))
    largest = float(expected.logits.abs().max())
    assert torch.allclose(found.layers[-1], expected.logits[0, position].float(), atol=1e-4 * largest)


@pytest.fixture(scope="module")
def engine(model_path: Path) -> Iterator[Engine]:
    with Engine.load(model_path, context=512, kernels="native") as engine:
        yield engine


def test_a_model_of_native_kernels_is_looked_into(engine: Engine) -> None:
    tokens = engine.chat_tokens([{"role": "user", "content": "Why is the sky blue?"}])
    before = engine.logits(tokens)
    run = engine.generate(tokens)
    next(iter(run))
    found = engine.look(tokens)
    run.cancel()
    assert found.attention is not None
    assert found.layers is not None
    assert found.attention.shape == (30, 9, len(tokens))
    assert torch.allclose(found.attention.sum(-1), torch.ones(30, 9), atol=1e-5)
    assert found.layers.shape == (31, len(before[0]))
    # What the native kernels compute is near, and the likeliest are the same.
    assert torch.allclose(found.layers[-1], before[-1], atol=1e-3 * float(before[-1].abs().max()))
    assert found.layers[-1].argmax() == before[-1].argmax()
    middle = engine.look(tokens, 5, attention=False)
    assert middle.attention is None
    assert middle.layers is not None
    assert torch.allclose(middle.layers[-1], before[5], atol=1e-3 * float(before[5].abs().max()))
    # What it computed has left no trace.
    assert torch.equal(engine.logits(tokens), before)


def test_what_cannot_be_looked_at_is_told(engine: Engine) -> None:
    with pytest.raises(InvalidPrompt, match="there is no token 7: the text has 3"):
        engine.look([5, 6, 7], 7)
    with pytest.raises(InvalidPrompt, match=r"27,000,000 numbers, and at most 16,777,216 .* first 62,137 tokens"):
        refuse_too_many(engine._scheduler.model, 99_999)
