"""What a streamed answer begins with, where the tokenizer puts a space before every text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine import Engine, Sampling
from engine.checkpoint import open_checkpoint
from engine.model import Model
from engine.template import ChatTemplate
from engine.tokenizer import Tokenizer, tokenizer_from_gguf

GREEDY = Sampling(temperature=0, max_tokens=12, ignore_eos=True)
QUESTION = {"role": "user", "content": "word7 word8"}


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    """A vocabulary in which every token but the first three is a word with a space before it."""
    tokens = ["<unk>", "<s>", "</s>", *(f"▁word{number}" for number in range(250))]
    return tokenizer_from_gguf(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": [2, 3, 3] + [1] * 250,
            "tokenizer.ggml.scores": [-float(rank) for rank in range(len(tokens))],
        }
    )


@pytest.fixture(scope="module")
def engine(tiny_path: Path, tiny: Engine, words: Tokenizer) -> Iterator[Engine]:
    checkpoint = open_checkpoint(tiny_path)
    model = Model(checkpoint.config, checkpoint.weights(torch.float32, torch.device("cpu")), 256)
    template = ChatTemplate(
        "{% for m in messages %}<s>{{ m.content }}{% endfor %}", special_tokens=words.special_tokens
    )
    with Engine(model, words, template, tiny.info) as engine:
        yield engine


def test_an_answer_begins_without_the_space_and_its_continuation_with_it(engine: Engine, words: Tokenizer) -> None:
    assert words.strips_leading_space
    steps = list(engine.chat([QUESTION], GREEDY))
    ids = [step.token for step in steps if step.token is not None]
    raw = b"".join(map(words.token_bytes, ids)).decode()
    assert raw.startswith(" word")
    assert "".join(step.text for step in steps) == words.decode(ids) == raw[1:]

    begun = {"role": "assistant", "content": "word1"}
    steps = list(engine.chat([QUESTION, begun], GREEDY))
    assert "".join(step.text for step in steps).startswith(" word")
