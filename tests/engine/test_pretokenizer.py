"""Each family's pattern against the `pre_tokenizer` of that family's tokenizer.json."""

from __future__ import annotations

import json
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from engine.tokenizer import Tokenizer as OurTokenizer
from engine.tokenizer.byte_bpe import alphabet
from engine.tokenizer.pretokenizer import PRETOKENIZERS
from tests.parity.mixed_text import DISPUTED, lines

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLIT = {"llama-bpe": LLAMA3, "qwen2": LLAMA3.replace("{1,3}", "")}
texts = st.text(st.sampled_from("as'lSſ 1٣²\u00a0\n\r\t!=中é\u0301😀\u2028"), max_size=40) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, DISPUTED))), max_size=40
)


def reference(family: str) -> pre_tokenizers.PreTokenizer:
    if family in SPLIT:
        split = pre_tokenizers.Split(Regex(SPLIT[family]), "isolated")
        return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    bytes_of_gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if family == "gpt-2":
        return bytes_of_gpt2
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_of_gpt2])


@pytest.mark.parametrize("family", PRETOKENIZERS)
@settings(max_examples=300)
@given(text=texts)
def test_words_are_those_of_the_family(family: str, text: str) -> None:
    byte_of = alphabet()
    expected = [bytes(byte_of[c] for c in word) for word, _ in reference(family).pre_tokenize_str(text)]
    assert [word.encode() for word in PRETOKENIZERS[family].words(text)] == expected


def trained(family: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = reference(family)
    if family == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=1_500, initial_alphabet=sorted(alphabet()), special_tokens=["<|end|>"], show_progress=False
    )
    tokenizer.train_from_iterator(lines(1_000, seed=5), trainer)
    return tokenizer


@pytest.mark.parametrize("family", PRETOKENIZERS)
def test_a_trained_vocabulary_gives_the_same_ids(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = trained(family)
    vocabulary = sorted(theirs.get_vocab(), key=theirs.get_vocab().__getitem__)
    merges = _merges(theirs)
    ours = OurTokenizer.from_gguf(
        {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": family,
            "tokenizer.ggml.tokens": vocabulary,
            "tokenizer.ggml.token_type": [3] + [1] * (len(vocabulary) - 1),
            "tokenizer.ggml.merges": merges,
        }
    )
    mixed = list(lines(3_000, seed=6))
    expected = [encoding.ids for encoding in theirs.encode_batch(mixed)]
    assert [ours.encode(text) for text in mixed] == expected
    monkeypatch.setattr("engine.tokenizer.tokenizer.MAX_DIRECT_CHARACTERS", 0)
    assert [ours.encode(text) for text in mixed] == expected


@given(st.text(st.sampled_from("aé\u0301\u0316\u0344\u0f71\u0327"), min_size=60, max_size=200))
def test_long_runs_of_marks_are_normalised_as_unicode_says(text: str) -> None:
    assert PRETOKENIZERS["qwen2"].normalize(text) == unicodedata.normalize("NFC", text)


def test_a_megabyte_of_marks_is_normalised_in_time() -> None:
    started = time.process_time()
    PRETOKENIZERS["qwen2"].normalize("a" + "\u0301\u0316" * 500_000)
    assert time.process_time() - started < 20  # without ordering them first: hours


def _merges(tokenizer: Tokenizer) -> list[str]:
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
