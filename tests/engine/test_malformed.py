"""Model files broken by hand, one way at a time: each is refused by a typed error of one line, at once."""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType

from engine import Engine, EngineError, ModelFormatError, ModelNotFound, TemplateError, UnsupportedModel
from tests.gguf_fields import gguf_fields, replaced, string
from tests.tiny import write_tiny_llama
from tests.tiny_folder import CONFIG, write_json, write_tiny_folder

MAX_SECONDS = 2.0
NORM, QUERY = "blk.0.attn_norm.weight", "blk.0.attn_q.weight"
STRING, ARRAY, U32, F32 = 8, 9, 4, 6


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "sound.gguf"
    return write_tiny_llama(path, layers=1, hidden=32, heads=2, kv_heads=1, inner=32).read_bytes()


def refusal(path: Path, *kinds: type[EngineError]) -> str:
    """What `Engine.load` says, which must be one of these errors."""
    started = time.process_time()
    with pytest.raises(EngineError) as caught:
        Engine.load(path, device="cpu", threads=1).close()
    assert time.process_time() - started < MAX_SECONDS
    message = str(caught.value)
    assert isinstance(caught.value, kinds), f"{type(caught.value).__name__}: {message}"
    assert message
    assert "\n" not in message
    assert len(message) < 500
    return message


def number(role: str, value: int) -> Callable[[bytes], bytes]:
    return lambda data: replaced(data, role, value)


def entry(key: bytes, kind: int, value: bytes) -> Callable[[bytes], bytes]:
    """One more metadata entry, before all others, in a file that is sound apart from it."""

    def add(data: bytes) -> bytes:
        *_, last = gguf_fields(data)
        end, first = last.start + last.size, 24
        header = data[:end] + bytes(-end % 32)
        count = int.from_bytes(data[16:first], "little")
        grown = replaced(data, "entry count", count + 1)[:first] + string(key) + struct.pack("<I", kind) + value
        grown += data[first:end]
        return grown + bytes(-len(grown) % 32) + data[len(header) :]

    return add


def renamed(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    assert len(old) == len(new)
    return lambda data: data.replace(old, new, 1)


def scalar(role: str, layout: str, value: float) -> Callable[[bytes], bytes]:
    return lambda data: replaced(data, role, int.from_bytes(struct.pack(layout, value), "little"))


def many_tensors(data: bytes) -> bytes:
    """A million tensors of one number, all at the same place."""
    one = string("t") + struct.pack("<IQIQ", 1, 1, 0, 0)
    return b"GGUF" + struct.pack("<IQQ", 3, 10**6, 0) + one * 10**6 + bytes(64)


def bytes_list(data: bytes) -> bytes:
    """A list of as many bytes as the file has, each of which would become a Python object."""
    return entry(b"x", ARRAY, struct.pack("<IQ", 0, 5 * 10**6) + bytes(5 * 10**6))(data)


def few_types(data: bytes) -> bytes:
    data = data.replace(b"tokenizer.ggml.token_type", b"tokenizer.ggml.token_tape", 1)
    return entry(b"tokenizer.ggml.token_type", ARRAY, struct.pack("<IQ", 5, 100) + bytes([1, 0, 0, 0]) * 100)(data)


GGUF: dict[str, Callable[[bytes], bytes]] = {
    "magic of another file": lambda data: b"RIFF" + data[4:],
    "magic in reverse": lambda data: b"FUGG" + data[4:],
    "version 1": number("version", 1),
    "version 4": number("version", 4),
    "version in the other byte order": number("version", 3 << 24),
    "2^63 tensors": number("tensor count", 2**63),
    "2^64-1 tensors": number("tensor count", -1),
    "one tensor too few": lambda data: replaced(data, "tensor count", 10),
    "2^63 entries": number("entry count", 2**63),
    "no entries": number("entry count", 0),
    "a key of 2^64-1 bytes": number("general.name key length", -1),
    "a key of 2^63 bytes": number("general.name key length", 2**63),
    "a key of no bytes": number("general.name key length", 0),
    "a text of 2^64-1 bytes": number("general.name length", -1),
    "a text to the end of the file": number("tokenizer.chat_template length", 20_000),
    "a list of 2^40 texts": number("tokenizer.ggml.tokens count", 2**40),
    "a list of 2^61 numbers": number("tokenizer.ggml.token_type count", 2**61),
    "a list of five million bytes": bytes_list,
    "a list of lists": number("tokenizer.ggml.tokens element type", ARRAY),
    "a list of an unknown type": number("tokenizer.ggml.tokens element type", 13),
    "a list of a negative type": number("tokenizer.ggml.tokens element type", -1),
    "a list in a list in a list": entry(b"x", ARRAY, struct.pack("<IQIQ", ARRAY, 1, ARRAY, 1) * 3),
    "an unknown type": number("general.name type", 13),
    "a negative type": number("general.name type", -1),
    "a text that is no UTF-8": entry(b"x", STRING, string(b"\xff\xfe")),
    "a key that is no UTF-8": entry(b"\xc3\x28", U32, bytes(4)),
    "half of a surrogate pair": entry(b"x", STRING, string(b"\xed\xa0\x80")),
    "the same key twice": entry(b"general.name", STRING, string("x")),
    "alignment 0": entry(b"general.alignment", U32, struct.pack("<I", 0)),
    "alignment 3": entry(b"general.alignment", U32, struct.pack("<I", 3)),
    "alignment 48": entry(b"general.alignment", U32, struct.pack("<I", 48)),
    "alignment 2^31": entry(b"general.alignment", U32, struct.pack("<I", 2**31)),
    "alignment of text": entry(b"general.alignment", STRING, string("32")),
    "alignment 32.0": entry(b"general.alignment", F32, struct.pack("<f", 32)),
    "a tensor without dimensions": number(f"{NORM} dimensions", 0),
    "a tensor of five dimensions": number(f"{NORM} dimensions", 5),
    "2^32-1 dimensions": number(f"{NORM} dimensions", -1),
    "a dimension of 0": number(f"{NORM} shape 0", 0),
    "a dimension of 2^63": number(f"{NORM} shape 0", 2**63),
    "dimensions whose product overflows": number(f"{QUERY} shape 1", 2**60),
    "a tensor larger than the file": number(f"{QUERY} shape 1", 2**20),
    "a tensor smaller than the config says": number(f"{NORM} shape 0", 16),
    "an unknown tensor type": number(f"{QUERY} type", 999),
    "a removed tensor type": number(f"{QUERY} type", 4),
    "a negative tensor type": number(f"{QUERY} type", -1),
    "a type that is not read": number(f"{QUERY} type", GGMLQuantizationType.IQ2_XXS),
    "blocks wider than the rows": number(f"{QUERY} type", GGMLQuantizationType.Q4_K),
    "an offset behind the file": number(f"{QUERY} offset", 2**40),
    "an offset that overflows": number(f"{QUERY} offset", 2**64 - 32),
    "an offset on another tensor": number(f"{QUERY} offset", 0),
    "an offset off the alignment": lambda data: replaced(data, f"{QUERY} offset", 33),
    "a name of 2^64-1 bytes": number(f"{QUERY} name length", -1),
    "the same tensor twice": renamed(b"blk.0.attn_k.weight", b"blk.0.attn_v.weight"),
    "a tensor missing": renamed(b"blk.0.attn_k.weight", b"blk.0.attn_x.weight"),
    "a million tensors": many_tensors,
    "no architecture": renamed(b"general.architecture", b"general.architextura"),
    "an unknown architecture": renamed(b"\0llama", b"\0lhama"),
    "an architecture that is a number": number("general.architecture type", U32),
    "no layers": number("llama.block_count", 0),
    "2^31 layers": number("llama.block_count", 2**31),
    "layers as text": renamed(b"llama.block_count", b"llama.block_c0unt"),
    "no heads": number("llama.attention.head_count", 0),
    "heads that do not divide the width": number("llama.attention.head_count", 3),
    "a width of 2^31": number("llama.embedding_length", 2**31),
    "a context of nothing": number("llama.context_length", 0),
    "epsilon NaN": scalar("llama.attention.layer_norm_rms_epsilon", "<f", float("nan")),
    "epsilon -1": scalar("llama.attention.layer_norm_rms_epsilon", "<f", -1.0),
    "rope base infinite": scalar("llama.rope.freq_base", "<f", float("inf")),
    "rope base 0": scalar("llama.rope.freq_base", "<f", 0.0),
    "fewer token types than tokens": few_types,
    "no tokens": renamed(b"tokenizer.ggml.tokens", b"tokenizer.ggml.tokems"),
    "a template that does not end": renamed(b"{% endfor %}{% if", b"{% endfur %}{% if"),
}


@pytest.mark.parametrize("name", GGUF)
def test_broken_gguf(name: str, sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    broken = GGUF[name](sound)
    assert broken != sound
    path.write_bytes(broken)
    refusal(path, ModelFormatError, UnsupportedModel, TemplateError)


def test_one_more_entry_breaks_nothing_by_itself(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sound.gguf"
    for content in (
        sound,
        entry(b"x", STRING, string("y"))(sound),
        entry(b"general.alignment", U32, b"\x20\0\0\0")(sound),
    ):
        path.write_bytes(content)
        Engine.load(path, device="cpu", threads=1).close()


def test_the_vocabulary_must_fit_the_embedding(sound: bytes, tmp_path: Path) -> None:
    """One token more than the embedding has rows."""
    path = tmp_path / "vocabulary.gguf"
    count = len([field for field in gguf_fields(sound) if field.role.startswith("tokenizer.ggml.tokens ")]) - 2
    path.write_bytes(replaced(sound, "token_embd.weight shape 1", count - 1))
    refusal(path, ModelFormatError)


ABSENT: Any = object()
CONFIGS: list[tuple[str, Any]] = [
    ("model_type", ABSENT),
    ("model_type", None),
    ("model_type", 7),
    ("model_type", ["llama"]),
    ("model_type", "../llama"),
    ("model_type", "mamba"),
    ("num_attention_heads", ABSENT),
    ("num_attention_heads", 0),
    ("num_attention_heads", -2),
    ("num_attention_heads", 3),
    ("num_attention_heads", 2.5),
    ("num_attention_heads", "2"),
    ("num_attention_heads", True),
    ("num_attention_heads", [2]),
    ("num_key_value_heads", 0),
    ("num_key_value_heads", 3),
    ("num_key_value_heads", 2**62),
    ("head_dim", 0),
    ("head_dim", 15),
    ("head_dim", 2**40),
    ("hidden_size", 0),
    ("hidden_size", -32),
    ("hidden_size", 2**40),
    ("hidden_size", 10**400),
    ("hidden_size", {}),
    ("intermediate_size", 47),
    ("intermediate_size", 2**40),
    ("num_hidden_layers", 0),
    ("num_hidden_layers", 1),
    ("num_hidden_layers", 3),
    ("num_hidden_layers", 10**9),
    ("num_hidden_layers", 2**63),
    ("max_position_embeddings", 0),
    ("max_position_embeddings", -1),
    ("max_position_embeddings", 2**40),
    ("vocab_size", 0),
    ("vocab_size", 100),
    ("vocab_size", 2**31),
    ("rms_norm_eps", 0),
    ("rms_norm_eps", -1e-5),
    ("rms_norm_eps", "1e-5"),
    ("rms_norm_eps", 10**400),
    ("rope_theta", 0),
    ("rope_theta", -10_000.0),
    ("rope_theta", 10**400),
    ("rope_theta", [10_000.0]),
    ("rope_scaling", "linear"),
    ("rope_scaling", []),
    ("rope_scaling", {"rope_type": "dynamic-ntk-by-parts", "factor": 2.0}),
    ("rope_scaling", {"rope_type": "linear"}),
    ("rope_scaling", {"rope_type": "linear", "factor": 0}),
    ("rope_scaling", {"rope_type": "linear", "factor": -2.0}),
    ("rope_scaling", {"rope_type": "llama3", "factor": 8.0}),
    ("rope_scaling", {"rope_type": "yarn", "factor": "4"}),
    ("rope_scaling", {"rope_type": "longrope", "short_factor": [1.0], "long_factor": []}),
    ("hidden_act", "eval"),
    ("hidden_act", 1),
    ("tie_word_embeddings", "no"),
    ("tie_word_embeddings", False),
    ("quantization_config", {"quant_method": "gptq", "bits": 4}),
]


@pytest.mark.parametrize(("key", "value"), CONFIGS, ids=lambda value: "absent" if value is ABSENT else f"{value!r:.40}")
def test_broken_config(key: str, value: Any, tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "model")
    config = {**CONFIG, key: value}
    if value is ABSENT:
        del config[key]
    write_json(folder / "config.json", config)
    refusal(folder, ModelFormatError, UnsupportedModel)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"llama"',
        b"\xff\xfe{\0}\0",
        b'{"eos_token_id": NaN}',
        b'{"eos_token_id": -Infinity}',
        b'{"eos_token_id": ' + b"9" * 10_000 + b"}",
        b'{"model_type": "llama", "model_type": "gemma"}',
        b'{"model_type": "\\ud800"}',
        b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * 10**6,
    ],
    ids=lambda text: f"{text[:24]!r}",
)
def test_files_that_are_no_sound_json(name: str, text: bytes, tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "model")
    (folder / name).write_bytes(text)
    assert name in refusal(folder, ModelFormatError)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_description_of_a_hundred_megabytes(name: str, tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "model")
    with (folder / name).open("ab") as file:
        file.truncate(100 * 2**20)
    refusal(folder, ModelFormatError)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_that_is_missing_or_no_file(name: str, tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "model")
    (folder / name).unlink()
    refusal(folder, ModelNotFound, ModelFormatError, UnsupportedModel)
    (folder / name).mkdir()
    refusal(folder, ModelNotFound, ModelFormatError, UnsupportedModel)
    if sys.platform != "win32":
        (folder / name).rmdir()
        os.mkfifo(folder / name)
        refusal(folder, ModelNotFound, ModelFormatError, UnsupportedModel)


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}",
        "{{ ",
        "{% unknown %}",
        "{{ messages | nofilter }}",
        "{% include '/etc/passwd' %}",
        7,
        [],
        {},
    ],
)
def test_broken_templates(template: Any, tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    write_json(folder / "tokenizer_config.json", {**settings, "chat_template": template})
    with pytest.raises(EngineError) as caught, Engine.load(folder, device="cpu", threads=1) as engine:
        engine.chat_tokens([{"role": "user", "content": "hello"}])
    assert isinstance(caught.value, TemplateError | ModelFormatError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "extra",
    [
        {"auto_map": {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.Evil"}},
        {"_attn_implementation": "evil/repo", "_attn_implementation_internal": "evil/repo"},
        {"attn_implementation": "../evil.py", "_name_or_path": "/etc/passwd", "transformers_version": "99"},
        {"custom_pipelines": {"evil": {"impl": "evil.Evil"}}, "__class__": "os.system"},
    ],
)
def test_code_that_a_config_names_is_not_run(extra: dict[str, Any], tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "model")
    for file in ("config.json", "tokenizer_config.json", "generation_config.json"):
        write_json(folder / file, {**json.loads((folder / file).read_text()), **extra})
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: ...\nEvilConfig = Evil\n")
    modules = set(sys.modules)
    with Engine.load(folder, device="cpu", threads=1) as engine:
        assert engine.logits([5, 6, 7]).isfinite().all()
    assert not (tmp_path / "ran").exists()
    assert not any("evil" in name for name in set(sys.modules) - modules)


class Canary:
    """What a pickle would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["model.gguf", "model.bin", "pytorch_model.bin", "model.safetensors", "model"])
def test_a_pickle_by_any_name_is_refused(name: str, tmp_path: Path) -> None:
    torch.save(Canary(tmp_path / "ran"), tmp_path / name)
    assert "pickle" in refusal(tmp_path / name, UnsupportedModel)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("config", [True, False])
def test_a_folder_of_pickles_is_refused(config: bool, tmp_path: Path) -> None:
    folder = write_tiny_folder(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save(Canary(tmp_path / "ran"), folder / "pytorch_model.bin")
    if not config:
        (folder / "config.json").unlink()
    message = refusal(folder, UnsupportedModel, ModelNotFound)
    assert not config or ("pickle" in message and "safetensors" in message)
    assert not (tmp_path / "ran").exists()
