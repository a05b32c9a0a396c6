"""Tokenizer files that are wrong, contradict themselves, or never end: each is one line within two seconds."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EngineError, ModelFormatError, UnsupportedModel
from engine.tokenizer import tokenizer_from_folder, tokenizer_from_gguf
from tests.tokenizer_families import Json, added, described, from_folder, gguf_metadata, write_folder

Change = Callable[[Json], Any]


def put(path: str, value: Any) -> Change:
    """A change of one part, such as `model.vocab`."""
    *parents, last = path.split(".")

    def change(description: Json) -> None:
        part = description
        for parent in parents:
            part = part[parent]
        part[last] = value

    return change


def vocabulary(**tokens: Any) -> Change:
    return lambda description: description["model"]["vocab"].update(tokens)


def more(*tokens: Any) -> Change:
    return lambda description: description["added_tokens"].extend(tokens)


def merges(*pairs: Any) -> Change:
    return lambda description: description["model"]["merges"].extend(pairs)


def pattern(expression: Any, kind: str = "Regex") -> Change:
    split = {"type": "Split", "pattern": {kind: expression}, "behavior": "Isolated", "invert": False}
    return put(
        "pre_tokenizer", {"type": "Sequence", "pretokenizers": [split, {"type": "ByteLevel", "use_regex": False}]}
    )


def normalizer(*steps: Any) -> Change:
    return put("normalizer", {"type": "Sequence", "normalizers": list(steps)})


MALFORMED: dict[str, Change] = {
    "no model": lambda description: description.pop("model"),
    "model is a list": put("model", []),
    "no vocabulary": put("model.vocab", None),
    "vocabulary is a list": put("model.vocab", ["a"]),
    "an id is a string": vocabulary(q="7"),
    "an id is a bool": vocabulary(q=True),
    "an id is a float": vocabulary(q=1.5),
    "an id is negative": vocabulary(qq=-1),
    "an id is far past the vocabulary": vocabulary(qq=10**9),
    "an id has 400 digits": vocabulary(qq=10**400),
    "an id is given out twice": vocabulary(qq=5),
    "a token is empty": lambda description: description["model"]["vocab"].update({"": 99_999}),
    "a token holds what stands for no byte": lambda description: description["model"]["vocab"].update({"日": 99_999}),
    "no merges": put("model.merges", None),
    "a merge of a missing token": merges(["zzz", "z"]),
    "a merge into a missing token": merges(["q", "q"]),
    "a merge of three": merges("a b c"),
    "a merge of one": merges(["a"]),
    "a merge of numbers": merges([1, 2]),
    "a merge of nothing": merges(" a"),
    "a merge twice": lambda description: description["model"]["merges"].append(description["model"]["merges"][0]),
    "ignore_merges is a number": put("model.ignore_merges", 3),
    "unk_token is an object": put("model.unk_token", {}),
    "added tokens are an object": put("added_tokens", {}),
    "an added token is a string": more("<x>"),
    "an added token is empty": more(added("", 1_501)),
    "an added token has no id": more({"content": "<x>", "special": True}),
    "an added token's flag is a string": more({**added("<x>", 1_501), "rstrip": "yes"}),
    "an added token's id is far off": more(added("<x>", 10**12)),
    "an added token leaves a hole": more(added("<x>", 1_777)),
    "an added token twice": more(added("<x>", 1_501), added("<x>", 1_502)),
    "two added tokens of one id": more(added("<x>", 1_501), added("<y>", 1_501)),
    "an added token of another's id": more(added("<x>", 5)),
    "an added token with another id than in the vocabulary": more(added("a", 1_501)),
    "an added token of a million characters": more(added("x" * 1_000_000, 1_501)),
    "a control token that is a letter": lambda description: description["added_tokens"].append(
        added("a", description["model"]["vocab"]["a"])
    ),
    "a hundred thousand added tokens": more(*(added(f"<x{id}>", 1_501 + id) for id in range(100_000))),
    "a split without a behavior": put("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "a"}}),
    "a split by a number": pattern(7),
    "a split by nothing": pattern("", "String"),
    "a normaliser is a string": put("normalizer", "NFC"),
    "a normaliser puts a novel in front": put("normalizer", {"type": "Prepend", "prepend": "x" * 100_000}),
    "steps are an object": put("pre_tokenizer", {"type": "Sequence", "pretokenizers": {}}),
    "a decoder is a list": put("decoder", []),
}
UNSUPPORTED: dict[str, Change] = {
    "a unigram model": put("model.type", "Unigram"),
    "a word-piece model": put("model.type", "WordPiece"),
    "dropout": put("model.dropout", 0.1),
    "a suffix of words": put("model.end_of_word_suffix", "</w>"),
    "a catastrophic split": pattern("(a|aa)+b"),
    "a quadratic split": pattern("a+b"),
    "a split that looks to the end": pattern(r"\s+$"),
    "a split that counts": pattern("(?=(a{3})+(?!a))"),
    "a broken split": pattern("(a"),
    "a split by a back reference": pattern(r"(\w)\1"),
    "a normaliser by a catastrophic pattern": normalizer(
        {"type": "Replace", "pattern": {"Regex": "(a*)*b"}, "content": "c"}
    ),
    "a normaliser that doubles and doubles": normalizer(
        *[{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 30
    ),
    "an unknown normaliser": put("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    "an unknown pre-tokenizer": put("pre_tokenizer", {"type": "UnicodeScripts"}),
    "bytes spelled twice": put("pre_tokenizer", {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}] * 2}),
    "no decoder": put("decoder", None),
    "an unknown decoder": put("decoder", {"type": "CTC"}),
    "a control token that is one word": more({**added("<x>", 1_501), "single_word": True}),
}


def refused(folder: Path, error: type[EngineError]) -> str:
    started = time.process_time()
    with pytest.raises(error) as caught:
        tokenizer_from_folder(folder)
    assert time.process_time() - started < 2
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    return str(caught.value)


def changed(change: Change) -> Json:
    description = copy.deepcopy(described("gpt2"))
    change(description)
    return description


@pytest.mark.parametrize("change", MALFORMED)
def test_a_malformed_tokenizer_is_one_line(change: str, tmp_path: Path) -> None:
    refused(write_folder(tmp_path, changed(MALFORMED[change])), ModelFormatError)


@pytest.mark.parametrize("change", UNSUPPORTED)
def test_what_cannot_be_exact_or_quick_is_refused_by_name(change: str, tmp_path: Path) -> None:
    refused(write_folder(tmp_path, changed(UNSUPPORTED[change])), UnsupportedModel)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 10_000,
        '{"model":' * 10_000,
        '{"a": 1, "a": 2}',
        '{"model": NaN}',
        '{"model": 1e999999}',
        '{"model": ' + "9" * 5_000 + "}",
        '{"model": "\\ud800"}',
    ],
)
def test_what_is_no_json_object_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    refused(tmp_path, ModelFormatError)


def test_a_folder_without_tokenizer_json_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"\x0a")
    assert "tokenizer.json" in refused(tmp_path, UnsupportedModel)


@pytest.mark.parametrize(
    "config",
    [
        {"added_tokens_decoder": [1]},
        {"added_tokens_decoder": {"x": added("<x>", 0)}},
        {"added_tokens_decoder": {"1501": "<x>"}},
        {"added_tokens_decoder": {"9" * 4_000: added("<x>", 0)}},
        {"added_tokens_decoder": {"7": {"content": "<|endoftext|>"}}},
        {"bos_token": 7},
        {"eos_token": {"content": 7}},
        {"additional_special_tokens": [7]},
    ],
)
def test_a_malformed_configuration_is_one_line(config: Json, tmp_path: Path) -> None:
    refused(write_folder(tmp_path, described("gpt2"), **config), ModelFormatError)


def test_any_part_may_be_replaced_by_anything(tmp_path: Path) -> None:
    """Every mutation is a tokenizer or one of the engine's own errors."""
    source = random.Random(3)
    values = [None, True, -1, 10**30, 1.5, "", "x", "\0", [], {}, [None], {"type": "Sequence"}, {"type": 3}]
    text = json.dumps(described("llama2") | {"scores": None})
    for _ in range(60):
        description = json.loads(text)
        part: Any = description
        while True:
            key = source.choice(list(part)) if isinstance(part, dict) else source.randrange(len(part))
            if not (isinstance(part[key], dict | list) and part[key]) or source.random() < 0.3:
                break
            part = part[key]
        part[key] = source.choice(values)
        refusal = ""
        try:
            from_folder(tmp_path, description).encode("a text\n1")
        except EngineError as error:
            refusal = str(error)
        assert "\n" not in refusal


@pytest.mark.parametrize(
    "fields",
    [
        {"scores": None},
        {"scores": [0.0]},
        {"scores": "x"},
        {"scores": float("nan")},
        {"scores": float("inf")},
        {"token_type": [99]},
        {"add_space_prefix": 1},
        {"bos_token_id": 10**6},
    ],
)
def test_malformed_sentencepiece_metadata_is_one_line(fields: Json) -> None:
    metadata = gguf_metadata("llama2")
    for name, value in fields.items():
        key = f"tokenizer.ggml.{name}"
        metadata[key] = [*metadata[key][:-1], value] if isinstance(value, float) else value
    with pytest.raises(ModelFormatError) as caught:
        tokenizer_from_gguf(metadata)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"remove_extra_whitespaces": True},
        {"precompiled_charsmap": [1, 2]},
        {"merges": ["a b"]},
        {"scores": -0.5},
    ],
)
def test_sentencepiece_metadata_that_means_something_else_is_refused(fields: Json) -> None:
    metadata = gguf_metadata("llama2")
    for name, value in fields.items():
        key = f"tokenizer.ggml.{name}"
        metadata[key] = [*metadata[key][:300], *[value] * (len(metadata[key]) - 300)] if name == "scores" else value
    with pytest.raises(UnsupportedModel):
        tokenizer_from_gguf(metadata)


def test_a_gguf_of_mistrals_later_tokenizer_is_refused_by_name() -> None:
    metadata = gguf_metadata("llama2")
    metadata["tokenizer.ggml.tokens"] = [*metadata["tokenizer.ggml.tokens"], "[INST]"]
    metadata["tokenizer.ggml.token_type"] = [*metadata["tokenizer.ggml.token_type"], 3]
    metadata["tokenizer.ggml.scores"] = [*metadata["tokenizer.ggml.scores"], 0.0]
    with pytest.raises(UnsupportedModel, match=r"\[INST\]"):
        tokenizer_from_gguf(metadata)


@pytest.mark.parametrize("family", ["gpt4o", "olmo2"])
def test_a_gguf_of_phi_4_is_refused_by_name(family: str) -> None:
    metadata = gguf_metadata(family) | {"general.architecture": "phi3"}
    with pytest.raises(UnsupportedModel, match="Phi-4"):
        tokenizer_from_gguf(metadata)
