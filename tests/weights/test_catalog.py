"""The catalog: names, paths, and the default model as it really is."""

from __future__ import annotations

from pathlib import Path

import pytest

from weights import CATALOG, DEFAULT, SUGGESTIONS, HubReference, UnknownModel, digest, resolve, source_named


def test_the_default_model_is_what_the_catalog_says(model_path: Path) -> None:
    assert model_path.name == DEFAULT.file_name
    assert model_path.stat().st_size == DEFAULT.bytes
    assert digest(model_path) == DEFAULT.sha256


def test_a_name_of_the_catalog_is_its_entry() -> None:
    assert resolve("smollm2-135m-instruct") is source_named("smollm2-135m-instruct") is DEFAULT


def test_a_file_and_a_folder_are_themselves(tmp_path: Path) -> None:
    file = tmp_path / "own.gguf"
    file.touch()
    assert resolve(str(file)) == file
    assert resolve(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["nosuch", "", "no/such.gguf", "a\0b", "x" * 10_000, "two\nlines", "~nobody/x"])
def test_anything_else_is_refused_in_one_line_with_the_known_names(name: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        resolve(name)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    assert ".gguf file" in message
    assert all(known in message for known in CATALOG)


def test_a_model_of_the_hub_is_its_reference() -> None:
    assert resolve("hf:Qwen/Qwen3-0.6B") == source_named("hf:Qwen/Qwen3-0.6B") == HubReference("Qwen", "Qwen3-0.6B")


def test_what_is_suggested_can_be_asked_for() -> None:
    for suggestion in SUGGESTIONS:
        assert str(source_named(suggestion.reference)) == suggestion.reference
        assert suggestion.licence in ("Apache-2.0", "MIT")


@pytest.mark.parametrize("name", ["nosuch", "", "/tmp", ".", "https://example.org/model"])
def test_a_path_cannot_be_pulled(name: str) -> None:
    with pytest.raises(UnknownModel, match=DEFAULT.name):
        source_named(name)
