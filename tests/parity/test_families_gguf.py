"""Every family that GGUF has, against transformers, from a file written with the `gguf` package."""

from __future__ import annotations

import pytest

from tests.parity.family_gguf import write_gguf
from tests.parity.loaded import all_logits, greedy, load_gguf
from tests.parity.test_families import LENGTHS, NEW_TOKENS, TOLERANCE, Pair, difference, likeliest, prompt
from tests.parity.tiny_families import VARIANTS, make, reference_logits

pytestmark = pytest.mark.usefixtures("one_thread")
# GGUF does not keep the windows of Qwen and Mistral, which of a mixture's layers are plain, nor what Gemma scales
# its queries by, which is head_dim in all published models but the largest.
CHANGES = {
    "mistral": {"sliding_window": None},
    "mixtral": {"sliding_window": None},
    "qwen2-window": {"use_sliding_window": False},
    "qwen3_moe": {"mlp_only_layers": []},
    "gemma2": {"query_pre_attn_scalar": 32},
    "gemma3": {"query_pre_attn_scalar": 32},
}


@pytest.fixture(scope="module", params=VARIANTS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    reference = make(request.param, **CHANGES.get(request.param, {}))
    return Pair(reference, load_gguf(write_gguf(reference, tmp_path_factory.mktemp("gguf") / "tiny.gguf")))


def test_logits_equal_the_reference(pair: Pair) -> None:
    lengths = [length for length in LENGTHS if length <= pair.model.context]
    differences = {
        length: difference(all_logits(pair.model, prompt(length)), reference_logits(pair.reference, prompt(length)))
        for length in lengths
    }
    assert max(differences.values()) <= TOLERANCE, differences


def test_greedy_tokens_equal_the_reference(pair: Pair) -> None:
    count = min(NEW_TOKENS, pair.model.context - 40)
    [answer] = greedy(pair.model, [prompt(40)], count)
    assert answer == likeliest(pair, prompt(40), answer)
