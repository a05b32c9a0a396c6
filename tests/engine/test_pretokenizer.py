"""Each family's pattern against the `pre_tokenizer` of that family's tokenizer.json."""

from __future__ import annotations

import json
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from engine.tokenizer.byte_bpe import alphabet
from engine.tokenizer.normalization import nfc
from engine.tokenizer.pretokenizer import DIGITS, GPT2, GPT4O, LLAMA3, QWEN2, QWEN35, TEKKEN, Pretokenizer, recognised
from tests.parity.mixed_text import DISPUTED
from tests.tokenizer_families import CL100K, O200K, WORDS, cut
from tests.tokenizer_families import TEKKEN as CASED

texts = st.text(st.sampled_from("as'lSſ 1٣²\u00a0\n\r\t!=中é\u0301😀\u2028"), max_size=40) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, DISPUTED))), max_size=40
)


MARKED = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
RULES: dict[str, tuple[Pretokenizer, Any]] = {
    "gpt2": (GPT2, WORDS),
    "digits": (DIGITS, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), WORDS])),
    "llama3": (LLAMA3, cut(CL100K)),
    "olmo2": (LLAMA3, cut(CL100K, behavior="removed", invert=True)),
    "qwen2": (QWEN2, cut(CL100K.replace("{1,3}", ""))),
    "qwen3.5": (QWEN35, cut(MARKED)),
    "gpt4o": (GPT4O, cut(O200K)),
    "tekken": (TEKKEN, cut(CASED)),
}


@pytest.mark.parametrize("family", RULES)
@settings(max_examples=300)
@given(text=texts)
def test_words_are_those_of_the_family(family: str, text: str) -> None:
    rule, theirs = RULES[family]
    byte_of = alphabet()
    expected = [bytes(byte_of[c] for c in word) for word, _ in theirs.pre_tokenize_str(text)]
    assert [word.encode() for word in rule.words(text)] == expected


@pytest.mark.parametrize("family", RULES)
def test_a_rule_is_recognised_in_a_tokenizer_json(family: str) -> None:
    rule, theirs = RULES[family]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = theirs
    assert recognised(json.loads(tokenizer.to_str())["pre_tokenizer"]) is rule
    assert recognised(rule.json) is rule


@pytest.mark.parametrize(
    "other",
    [
        None,
        {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True},
        {"type": "Digits", "individual_digits": False},
        {"type": "Sequence", "pretokenizers": [QWEN2.json, GPT2.json]},
        json.loads(json.dumps(LLAMA3.json).replace("{1,3}", "{1,2}")),
        json.loads(json.dumps(LLAMA3.json).replace("Isolated", "Removed")),
    ],
)
def test_another_rule_is_not_mistaken_for_a_known_one(other: Any) -> None:
    assert recognised(other) is None


@given(st.text(st.sampled_from("aé\u0301\u0316\u0344\u0f71\u0327"), min_size=60, max_size=200))
def test_long_runs_of_marks_are_normalised_as_unicode_says(text: str) -> None:
    assert nfc(text) == unicodedata.normalize("NFC", text)


def test_a_megabyte_of_marks_is_normalised_in_time() -> None:
    started = time.process_time()
    nfc("a" + "\u0301\u0316" * 500_000)
    assert time.process_time() - started < 20  # without ordering them first: hours
