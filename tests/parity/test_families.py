"""Every family against transformers, from a Hugging Face folder."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from engine.model import Model
from tests.parity.loaded import all_logits, greedy, load_folder
from tests.parity.tiny_families import CONTEXT, VARIANTS, VOCABULARY, make, reference_logits, save

LENGTHS = (1, 2, 3, 8, 31, 63, 64, 100, 200)
NEW_TOKENS = 64
TOLERANCE = 1e-4
pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass
class Pair:
    """A model of transformers and ours from its files."""

    reference: PreTrainedModel
    model: Model


@pytest.fixture(scope="module", params=VARIANTS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    reference = make(request.param)
    return Pair(reference, load_folder(save(reference, tmp_path_factory.mktemp(request.param))))


def prompt(length: int, seed: int = 0) -> list[int]:
    return random.Random(f"{seed} {length}").choices(range(3, VOCABULARY), k=length)


def difference(ours: torch.Tensor, reference: torch.Tensor) -> float:
    """The largest difference, relative to the largest logit."""
    return ((ours - reference).abs().max() / reference.abs().max()).item()


def test_logits_equal_the_reference(pair: Pair) -> None:
    lengths = [length for length in LENGTHS if length <= pair.model.context]
    differences = {
        length: difference(all_logits(pair.model, prompt(length)), reference_logits(pair.reference, prompt(length)))
        for length in lengths
    }
    assert max(differences.values()) <= TOLERANCE, differences


def likeliest(pair: Pair, tokens: list[int], answer: list[int]) -> list[int]:
    """What transformers finds likeliest after the prompt and after each token of the answer but the last.

    An answer that equals it is the greedy one: by induction, the tokens before each are those the reference chose.
    """
    return reference_logits(pair.reference, tokens + answer)[len(tokens) - 1 : -1].argmax(dim=-1).tolist()


def test_greedy_tokens_equal_the_reference_cached_chunked_and_batched(pair: Pair) -> None:
    """Chunks of 7 cut the prompts where windows begin and end; three ragged prompts are run as one batch."""
    count = min(NEW_TOKENS, pair.model.context - 40)
    prompts = [prompt(5, seed=1), prompt(40, seed=2), prompt(17, seed=3)]
    plain = [greedy(pair.model, [tokens], count)[0] for tokens in prompts]
    assert [likeliest(pair, tokens, answer) for tokens, answer in zip(prompts, plain, strict=True)] == plain
    assert [greedy(pair.model, [tokens], count, chunk=7)[0] for tokens in prompts] == plain
    assert greedy(pair.model, prompts, count) == plain
    assert greedy(pair.model, prompts, count, chunk=7) == plain


def test_longrope_takes_the_long_list_where_the_context_is_long(tmp_path: Path) -> None:
    reference = make("phi3-longrope")
    model = load_folder(save(reference, tmp_path), context=CONTEXT)
    for length in (65, 100, 200):
        assert difference(all_logits(model, prompt(length)), reference_logits(reference, prompt(length))) <= TOLERANCE


def test_a_sharded_folder_is_the_same_model(tmp_path: Path) -> None:
    reference = make("qwen3_moe")
    model = load_folder(save(reference, tmp_path, max_shard_size="100KB"))
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    assert difference(all_logits(model, prompt(50)), reference_logits(reference, prompt(50))) <= TOLERANCE
