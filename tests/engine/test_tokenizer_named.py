"""tiktoken's own encodings: out of its cache, and never out of the network."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import tiktoken

from engine.errors import EngineError, ModelFormatError, ModelNotFound, UnsupportedModel
from engine.tokenizer import tokenizer_from_folder
from engine.tokenizer.named import FILES, tokenizer_by_name
from tests.parity.mixed_text import lines
from tests.tiny_folder import write_json


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", FILES)
def test_an_encoding_whose_file_is_not_here_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (str(tmp_path), ""):
        monkeypatch.setenv("TIKTOKEN_CACHE_DIR", folder)
        with pytest.raises(ModelNotFound, match=name) as caught:
            tokenizer_by_name(name)
        assert "\n" not in str(caught.value)


def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    damaged = tmp_path / next(iter(FILES["cl100k_base"]))
    damaged.write_bytes(b"IQ== 0\n")
    with pytest.raises(ModelFormatError, match="damaged"):
        tokenizer_by_name("cl100k_base")
    assert damaged.read_bytes() == b"IQ== 0\n"


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="o200k_base"):
        tokenizer_by_name("../cl100k_base")


def test_the_names_are_tiktokens() -> None:
    assert set(FILES) == set(tiktoken.list_encoding_names())


@pytest.mark.parametrize("name", FILES)
def test_an_encoding_that_is_here_gives_tiktokens_ids(name: str) -> None:
    try:
        ours = tokenizer_by_name(name)
    except EngineError as error:
        pytest.skip(str(error))
    theirs = tiktoken.get_encoding(name)
    assert ours.vocabulary == theirs.n_vocab
    for text in lines(3_000, seed=8):
        ids = ours.encode(text)
        assert ids == theirs.encode_ordinary(text)
        assert ours.decode(ids) == text
    assert not set(ours.encode("<|endoftext|>")) & set(ours.special_tokens.values())
    assert ours.decode(ours.encode(" " * 1_000_000)) == " " * 1_000_000


@pytest.mark.parametrize(
    ("name", "kind"),
    [("cl100k_base", ModelNotFound), ("cl50k", UnsupportedModel), (7, ModelFormatError), (None, UnsupportedModel)],
)
def test_a_folder_that_names_an_encoding_which_cannot_be_had_is_refused(
    name: Any, kind: type[EngineError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    write_json(tmp_path / "tokenizer_config.json", {"encoding_name": name})
    with pytest.raises(kind) as caught:
        tokenizer_from_folder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gpt2", "cl100k_base"])
def test_a_folder_may_name_an_encoding_that_is_here(name: str, tmp_path: Path) -> None:
    write_json(tmp_path / "tokenizer_config.json", {"encoding_name": name, "eos_token": "<|endoftext|>"})
    try:
        ours = tokenizer_from_folder(tmp_path)
    except ModelNotFound as error:
        pytest.skip(str(error))
    assert ours.encode("Hello, <|endoftext|>") == tiktoken.get_encoding(name).encode_ordinary("Hello, <|endoftext|>")
    assert ours.special_tokens["<|endoftext|>"] in ours.eos_ids
