"""Every family's tokenizer, from its folder and from GGUF, against the `tokenizers` library."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest

from engine.tokenizer import Tokenizer, tokenizer_from_gguf
from engine.tokenizer.byte_bpe_tokenizer import ByteBPETokenizer
from tests.parity.mixed_text import lines
from tests.tokenizer_families import (
    FAMILIES,
    GGUF_NAMES,
    described,
    from_folder,
    gguf_metadata,
    reference,
    reference_of_text,
)

LINES = 10_000
# Runs that end anywhere, beside everything that they could stick to.
RUNS = [
    before + run * length + after
    for run in " \n▁"
    for length in (1, 2, 3, 15, 16, 31, 32, 40)
    for before in ("", "a", "1")
    for after in ("", "b", "▁")
]


@cache
def texts() -> list[str]:
    return [*lines(LINES, seed=11), *RUNS, "", "\0", "a\0b", "<|user|> <think> </s>[INST]<s>\n<｜User｜><0x0A><unk>"]


@cache
def expected(family: str) -> list[list[int]]:
    encodings = reference_of_text(family).encode_batch(texts(), add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def ours(family: str, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return from_folder(tmp_path_factory.mktemp(family), described(family))


def assert_same_ids(tokenizer: Tokenizer, family: str) -> None:
    differing = [text for text, ids in zip(texts(), expected(family), strict=True) if tokenizer.encode(text) != ids]
    assert not differing, f"{len(differing)} of {len(texts())} texts differ, first {differing[0]!r}"


def test_ten_thousand_texts_have_the_ids_of_the_library(family: str, ours: Tokenizer) -> None:
    assert len(set(texts())) > 0.9 * LINES
    assert_same_ids(ours, family)
    # The quick way is taken wherever one pattern cuts the same words.
    sentencepiece_or_several = {"deepseek", "llama2", "mistral", "gemma", "phi3"}
    assert isinstance(ours, ByteBPETokenizer) == (family not in sentencepiece_or_several)


@pytest.mark.parametrize("family", GGUF_NAMES)
def test_ten_thousand_texts_have_the_same_ids_through_gguf(family: str) -> None:
    assert_same_ids(tokenizer_from_gguf(gguf_metadata(family)), family)


def test_a_rendered_conversation_has_the_ids_of_the_library(family: str, ours: Tokenizer) -> None:
    through_gguf = tokenizer_from_gguf(gguf_metadata(family)) if family in GGUF_NAMES else ours
    source = random.Random(7)
    special = list(ours.special_tokens)
    for text in texts()[:600]:
        contents = [part for part in text.split("e") if not any(token in part for token in special)]
        pieces: list[tuple[str, bool]] = []
        for content in contents:
            if source.random() < 0.7:
                pieces.append((source.choice(special), True))
            pieces.append((source.choice(["", " ", "\n", "user\n"]) + content, False))
        rendered = "".join(piece for piece, _ in pieces)
        # A token that the pieces only make together is one of the conversation, but not of the template.
        if sum(rendered.count(token) for token in special) > sum(is_special for _, is_special in pieces):
            continue
        ids = reference(family).encode(rendered, add_special_tokens=False).ids
        assert ours.encode_pieces(pieces) == ids, rendered
        assert through_gguf.encode_pieces(pieces) == ids, rendered


def test_decoding_is_that_of_the_library_whole_and_token_by_token(family: str, ours: Tokenizer) -> None:
    for text, ids in zip(texts()[:2_000], expected(family), strict=False):
        assert ours.decode(ids) == reference(family).decode(ids, skip_special_tokens=False)
        streamed = b"".join(map(ours.token_bytes, ids)).decode("utf-8", "replace")
        assert streamed.removeprefix(" " if ours.strips_leading_space else "") == ours.decode(ids), text


MEGABYTE = ["a", " ", "1", "\n", "\u0301", "É"]


def encode_a_megabyte(tokenizer: Tokenizer, character: str) -> None:
    text = character * (1_000_000 // len(character.encode()))
    decoded = tokenizer.decode(tokenizer.encode(text))
    # U+0301 alone composes with nothing, so NFC leaves it as it is.
    assert decoded == text if not tokenizer.strips_leading_space else decoded.strip() == text.strip()


@pytest.mark.parametrize("kind", ["gpt4o", "deepseek", "llama2"])
@pytest.mark.parametrize("character", MEGABYTE)
def test_a_megabyte_of_one_character_is_taken(kind: str, character: str, tmp_path: Path) -> None:
    encode_a_megabyte(from_folder(tmp_path, described(kind)), character)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("character", [*MEGABYTE, "\0", "中", "!", "=", "\r\n", " \n", "A", "\u0323", "😀"])
def test_a_megabyte_of_any_character_is_taken_by_every_family(kind: str, character: str, tmp_path: Path) -> None:
    encode_a_megabyte(from_folder(tmp_path, described(kind)), character)
