"""Folders with a tokenizer: what the files beside tokenizer.json add, and files that are wrong or hostile."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from engine.errors import EngineError, ModelFormatError, UnsupportedModel
from engine.tokenizer import tokenizer_from_folder, tokenizer_from_gguf
from tests.parity.mixed_text import lines
from tests.tokenizer_families import Json, added, described, from_folder, gguf_metadata, reference_of_text, write_folder

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
    "unk_token is missing": put("model.unk_token", "<missing>"),
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


def test_the_files_beside_say_which_tokens_are_control_tokens(tmp_path: Path) -> None:
    description = copy.deepcopy(described("gpt2"))
    size = len(description["model"]["vocab"])
    decoder = {
        str(size): added("<|endoftext|>", 0),
        str(size + 1): {**added("<tool>", 0, special=False), "lstrip": True},
        str(size + 2): added("<end>", 0, special=False),
    }
    tokenizer = from_folder(
        tmp_path,
        description,
        added_tokens_decoder=decoder,
        bos_token={"content": "<|endoftext|>"},
        eos_token="<end>",
        add_bos_token=True,
    )
    assert tokenizer.special_tokens == {"<|endoftext|>": size, "<end>": size + 2}
    assert (tokenizer.bos_id, tokenizer.add_bos) == (size, True)
    assert tokenizer.eos_ids == {size, size + 2}
    # An ordinary added token is found in any text, with its flags; a control token is not.
    assert tokenizer.encode("a  <tool>b") == [*tokenizer.encode("a"), size + 1, *tokenizer.encode("b")]
    assert size + 2 not in tokenizer.encode("<end>")
    assert tokenizer.token_bytes(size + 1) == b"<tool>"


def test_special_tokens_map_and_added_tokens_are_read_where_there_is_no_newer_file(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, described("gpt2"))
    size = len(described("gpt2")["model"]["vocab"])
    (folder / "added_tokens.json").write_text(json.dumps({"<x>": size + 1}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": "<x>", "bos_token": "<|endoftext|>"}))
    tokenizer = tokenizer_from_folder(folder)
    assert tokenizer.special_tokens == {"<|endoftext|>": size, "<x>": size + 1}
    assert tokenizer.eos_ids == {size, size + 1}
    assert not tokenizer.add_bos


@pytest.mark.parametrize("family", ["llama3", "llama2", "mistral", "gemma"])
def test_bos_comes_first_where_the_file_puts_it(family: str, tmp_path: Path) -> None:
    bos = described(family)["post_processor"]["single"][0]["SpecialToken"]["id"]
    tokenizer = from_folder(tmp_path, described(family), bos_token=bos)
    assert tokenizer.add_bos
    assert tokenizer.special_tokens[bos] == tokenizer.bos_id


TEMPLATES = {
    "qwen2": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
    "phi3": "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}<|assistant|>\n",
    "mistral": "<s>{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}",  # noqa: E501
    "llama2": "<s>{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }} </s>{% endif %}{% endfor %}",  # noqa: E501
}
CONTROL = {
    "qwen2": ("<|im_start|>", "<|im_end|>"),
    "phi3": ("<|user|>", "<|assistant|>", "<|end|>"),
    "mistral": ("<s>", "</s>", "[INST]", "[/INST]"),
    "llama2": ("<s>", "</s>"),
}


@pytest.mark.parametrize("family", TEMPLATES)
def test_a_conversation_has_the_ids_of_transformers(family: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, described(family))
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    ours = tokenizer_from_folder(folder)
    contents = [text for text in lines(200, seed=12) if "<|" not in text and "[INST]" not in text]
    for content in contents:
        talk = [
            {"role": "user", "content": content},
            {"role": "assistant", "content": content[::-1]},
            {"role": "user", "content": " " + content},
        ]
        expected = theirs.apply_chat_template(talk, chat_template=TEMPLATES[family], return_dict=False)
        text = theirs.apply_chat_template(talk, chat_template=TEMPLATES[family], tokenize=False)
        assert isinstance(text, str)
        assert ours.encode_pieces(pieces(text, CONTROL[family])) == expected


def pieces(text: str, control: tuple[str, ...]) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = [(text, False)]
    for token in control:
        found = [
            (part, special or part == token)
            for whole, special in found
            for part in ([whole] if special else _cut(whole, token))
        ]
    return found


def _cut(text: str, token: str) -> list[str]:
    parts = text.split(token)
    return [piece for part in parts for piece in (token, part)][1:]


def test_a_space_in_front_comes_where_the_family_puts_it(tmp_path: Path) -> None:
    def spelled(family: str) -> bytes:
        tokenizer = from_folder(tmp_path / family, described(family))
        ids = tokenizer.encode_pieces([("<s>", True), ("a", False), ("</s>", True), ("a", False)])
        return b"".join(map(tokenizer.token_bytes, ids))

    assert spelled("llama2") == b" a a"
    assert spelled("mistral") == b"aa"
    mistral = tokenizer_from_folder(tmp_path / "mistral")
    assert b"".join(map(mistral.token_bytes, mistral.encode("a"))) == b" a"
    assert mistral.decode(mistral.encode("a")) == "a"


def test_bytes_of_a_character_that_is_no_token_are_kept_apart_until_they_are_whole(tmp_path: Path) -> None:
    tokenizer = from_folder(tmp_path, described("llama2"))
    ids = tokenizer.encode("🦩")[1:]
    assert [tokenizer.token_bytes(id) for id in ids] == [bytes([byte]) for byte in "🦩".encode()]
    assert tokenizer.decode(ids[:3]) == "\ufffd"
    assert tokenizer.encode("\ud800") == tokenizer.encode("\ufffd")
    assert tokenizer.decode(tokenizer.encode("a\0b")) == "a\0b"


def test_merges_that_make_a_control_token_do_not_let_it_be_typed(tmp_path: Path) -> None:
    """Conversions of SentencePiece list them: <s> of < and s>."""
    description = copy.deepcopy(described("llama2"))
    size = len(description["model"]["vocab"])
    description["model"]["vocab"]["s>"] = size
    description["model"]["merges"] += [["s", ">"], ["<", "s>"]]
    tokenizer = from_folder(tmp_path, description)
    assert 1 not in tokenizer.encode("<s>")
    theirs = reference_of_text("llama2")
    assert tokenizer.encode("a < b s") == theirs.encode("a < b s", add_special_tokens=False).ids


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
