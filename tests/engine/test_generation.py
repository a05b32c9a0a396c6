"""What a model's authors advise, in files that nobody has checked."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig

from engine.checkpoint.generation import FILE, FOLDER_NAMES, GGUF_NAMES, folder_generation, gguf_generation
from engine.errors import ModelFormatError
from engine.sampling import Sampling

VOCABULARY = 1_000


def written(folder: Path, content: Any) -> Path:
    (folder / FILE).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_what_transformers_saves_is_read(tmp_path: Path) -> None:
    GenerationConfig(
        eos_token_id=[7, 9], do_sample=True, temperature=0.6, top_k=20, top_p=0.95, min_p=0.1, repetition_penalty=1.05
    ).save_pretrained(tmp_path)
    found = folder_generation(tmp_path, VOCABULARY)
    assert found.eos_ids == (7, 9)
    assert found.recommended == {
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 0.95,
        "min_p": 0.1,
        "repetition_penalty": 1.05,
    }
    assert found.ignored == ()


@pytest.mark.parametrize(
    ("config", "recommended"),
    [
        ({}, {}),
        ({"do_sample": True}, {}),
        ({"temperature": 0.6}, {"temperature": 0.6}),
        ({"do_sample": False, "temperature": 0.6, "top_p": 0.9}, {"temperature": 0.0}),
        ({"do_sample": True, "temperature": 1, "top_p": None}, {"temperature": 1.0}),
        ({"top_k": -1}, {"top_k": 0}),
        ({"max_new_tokens": 7, "penalty_alpha": 0.6, "cache_implementation": "hybrid"}, {}),
    ],
)
def test_only_what_is_said_is_recommended(tmp_path: Path, config: Any, recommended: dict[str, Any]) -> None:
    assert folder_generation(written(tmp_path, config), VOCABULARY).recommended == recommended


def test_a_folder_without_the_file_advises_nothing(tmp_path: Path) -> None:
    assert folder_generation(tmp_path, VOCABULARY) == ((), {}, ())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -1),
        ("temperature", 1e308),
        ("temperature", "hot"),
        ("temperature", True),
        ("temperature", [0.7]),
        ("top_k", 2**63),
        ("top_k", 1.5),
        ("top_p", 0),
        ("top_p", 1.5),
        ("min_p", 1),
        ("repetition_penalty", 0),
        ("repetition_penalty", {"x": 1}),
    ],
)
def test_what_is_out_of_range_is_ignored_with_the_reason(tmp_path: Path, name: str, value: Any) -> None:
    found = folder_generation(written(tmp_path, {name: value, "top_p" if name != "top_p" else "top_k": 1}), VOCABULARY)
    assert name not in found.recommended
    assert len(found.recommended) == 1
    [reason] = found.ignored
    assert name in reason
    assert len(reason) < 200


@pytest.mark.parametrize(
    ("value", "ids", "ignored"),
    [
        (7, (7,), 0),
        ([7, 9], (7, 9), 0),
        (None, (), 0),
        ([7, VOCABULARY, -1, 2**70, "9", 1.0, None, True], (7,), 7),
        ({"x": 1}, (), 1),
    ],
)
def test_end_tokens_are_ids_of_the_vocabulary(tmp_path: Path, value: Any, ids: tuple[int, ...], ignored: int) -> None:
    found = folder_generation(written(tmp_path, {"eos_token_id": value}), VOCABULARY)
    assert found.eos_ids == ids
    assert len(found.ignored) == ignored


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", "{", '{"temperature": NaN}', "[" * 100_000, '{"a": 1, "a": 2}', {"eos_token_id": [1] * 101}],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ModelFormatError) as caught:
        folder_generation(written(tmp_path, content), VOCABULARY)
    assert "\n" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from([*FOLDER_NAMES, "do_sample", "eos_token_id"])


@given(config=st.dictionaries(names, json_values, max_size=6))
def test_whatever_is_advised_can_be_followed(tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]) -> None:
    found = folder_generation(written(tmp_path_factory.getbasetemp(), config), VOCABULARY)
    Sampling.from_dict(found.recommended)
    assert all(0 <= id < VOCABULARY for id in found.eos_ids)


@given(metadata=st.dictionaries(st.sampled_from([*GGUF_NAMES]), json_values | st.floats(), max_size=5))
def test_whatever_a_gguf_file_advises_can_be_followed(metadata: dict[str, Any]) -> None:
    Sampling.from_dict(gguf_generation(metadata).recommended)


def test_a_gguf_file_s_numbers_are_those_its_authors_wrote() -> None:
    metadata = {
        "general.sampling.temp": struct.unpack("f", struct.pack("f", 0.7))[0],
        "general.sampling.top_k": 20,
        "general.sampling.top_p": struct.unpack("f", struct.pack("f", 0.95))[0],
        "general.sampling.penalty_repeat": struct.unpack("f", struct.pack("f", 1.05))[0],
        "general.sampling.mirostat": 2,
    }
    expected = {"temperature": 0.7, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.05}
    assert gguf_generation(metadata).recommended == expected
