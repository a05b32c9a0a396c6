"""The tokenizer against the `tokenizers` library, built from the same vocabulary and merges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Reference
from tokenizers import models, pre_tokenizers

from engine.checkpoint.gguf_file import GGUFFile
from engine.tokenizer import tokenizer_from_gguf
from engine.tokenizer.byte_bpe_tokenizer import ByteBPETokenizer
from tests.parity.mixed_text import DISPUTED, lines

LINES = 20_000
NORMAL = 1

any_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, DISPUTED))), max_size=80
)
# Characters on which the pre-tokenizer's branches and the missing bytes turn.
tricky_text = st.text(
    st.sampled_from("as'lSl 1٣²\u00a0\n\r\t!=中é\u0301\x04\x06\x1d😀\U00040000\U000f1234"), max_size=60
)


@pytest.fixture(scope="module")
def metadata(model_path: Path) -> dict[str, Any]:
    return dict(GGUFFile(model_path).metadata)


@pytest.fixture(scope="module")
def ours(metadata: dict[str, Any]) -> ByteBPETokenizer:
    tokenizer = tokenizer_from_gguf(metadata)
    assert isinstance(tokenizer, ByteBPETokenizer)
    return tokenizer


@pytest.fixture(scope="module")
def reference(metadata: dict[str, Any]) -> Reference:
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    vocabulary = {text: id for id, text in enumerate(tokens) if types[id] == NORMAL}
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    reference = Reference(models.BPE(vocabulary, merges))
    reference.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    return reference


def test_mixed_lines_have_the_same_ids(ours: ByteBPETokenizer, reference: Reference) -> None:
    texts = list(lines(LINES, seed=2))
    assert len(set(texts)) > 0.9 * LINES
    expected = [encoding.ids for encoding in reference.encode_batch(texts)]
    differing = [text for text, ids in zip(texts, expected, strict=True) if ours.encode(text) != ids]
    assert not differing, f"{len(differing)} of {LINES} lines differ, first {differing[0]!r}"


def test_the_path_around_tiktokens_regex_has_the_same_ids(
    ours: ByteBPETokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = list(lines(2_000, seed=3))
    direct = [ours.encode(text) for text in texts]
    monkeypatch.setattr("engine.tokenizer.byte_bpe_tokenizer.MAX_DIRECT_CHARACTERS", 0)
    assert [ours.encode(text) for text in texts] == direct


@settings(max_examples=500)
@given(text=any_text | tricky_text)
def test_any_text_has_the_same_ids(ours: ByteBPETokenizer, reference: Reference, text: str) -> None:
    assert ours.encode(text) == reference.encode(text).ids


@pytest.mark.parametrize("unit", ["a", " ", "1", "!", "\n", "中", "\u0301", "\x04", "=\x04", " \n", "word "])
def test_a_megabyte_of_one_unit_has_the_same_ids(ours: ByteBPETokenizer, reference: Reference, unit: str) -> None:
    text = unit * (1_000_000 // len(unit.encode()))
    assert ours.encode(text) == reference.encode(text).ids


def test_special_tokens_in_text_are_text(ours: ByteBPETokenizer) -> None:
    for text in ours.special_tokens:
        ids = ours.encode(text)
        assert ours.decode(ids) == text
        assert not set(ids) & set(ours.special_tokens.values())


def test_the_model_s_own_figures(ours: ByteBPETokenizer) -> None:
    assert ours.vocabulary == 49_152
    assert ours.bos_id == 1
    assert not ours.add_bos
    assert ours.eos_ids == {0, 2}


@given(text=any_text)
def test_decoding_gives_the_text_back_but_for_missing_bytes(ours: ByteBPETokenizer, text: str) -> None:
    missing = {byte for byte in range(256) if ours.encoding.encode_single_token(bytes([byte])) >= ours.vocabulary}
    kept = bytes(byte for byte in text.encode() if byte not in missing)
    assert b"".join(map(ours.token_bytes, ours.encode(text))) == kept
    assert len(missing) == 21
