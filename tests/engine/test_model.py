from __future__ import annotations

import pytest
import torch
from gguf import GGMLQuantizationType
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.checkpoint import open_checkpoint
from engine.kv_cache import KVCache
from engine.model import Chunk, Model
from tests.tiny import write_tiny_llama

CONTEXT = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = write_tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", quantization=GGMLQuantizationType.Q4_1)
    checkpoint = open_checkpoint(path)
    weights = checkpoint.weights(torch.float32, torch.device("cpu"))
    return Model(checkpoint.config, weights, CONTEXT)


prompts = st.lists(st.integers(0, 258), min_size=2, max_size=CONTEXT)


def forward(model: Model, tokens: list[int], cache: KVCache, *, all_logits: bool = False) -> torch.Tensor:
    return model.forward([Chunk(torch.tensor(tokens), cache, len(tokens) if all_logits else 1)])


def whole(model: Model, tokens: list[int]) -> torch.Tensor:
    return forward(model, tokens, model.new_cache(CONTEXT), all_logits=True)


@given(prompts, st.data())
@settings(max_examples=60)
def test_chunked_equals_whole(model: Model, tokens: list[int], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(tokens) - 1))))
    cache = model.new_cache(CONTEXT)
    pieces = [
        forward(model, tokens[start:end], cache, all_logits=True)
        for start, end in zip([0, *cuts], [*cuts, len(tokens)], strict=True)
    ]
    torch.testing.assert_close(torch.cat(pieces), whole(model, tokens), rtol=1e-4, atol=1e-4)


@given(prompts, prompts, st.data())
@settings(max_examples=60)
def test_rewound_cache_equals_fresh(model: Model, first: list[int], second: list[int], data: st.DataObject) -> None:
    keep = data.draw(st.integers(0, len(first) - 1))
    tokens = (first[:keep] + second)[:CONTEXT]
    cache = model.new_cache(CONTEXT)
    forward(model, first, cache)
    cache.length = keep
    after = forward(model, tokens[keep:], cache, all_logits=True)
    torch.testing.assert_close(after, whole(model, tokens)[keep:], rtol=1e-4, atol=1e-4)


def test_last_logits_are_the_last_row(model: Model) -> None:
    tokens = [5, 9, 200, 31]
    last = forward(model, tokens, model.new_cache(CONTEXT))
    torch.testing.assert_close(last[0], whole(model, tokens)[-1], rtol=1e-5, atol=1e-5)
