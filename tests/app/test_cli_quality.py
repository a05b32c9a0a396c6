"""`fireside doctor --quality`, on a model small enough to be measured at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.app.command import fireside
from tests.tiny import write_tiny_llama


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRESIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FIRESIDE_MODELS", str(tmp_path / "models"))


def test_the_doctor_measures_the_model(tmp_path: Path) -> None:
    model = write_tiny_llama(tmp_path / "tiny.gguf")
    result = fireside("doctor", "--quality", "--model", model)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^ok +perplexity +\d+\.\d\d over 256 tokens of English prose$", result.stdout, re.MULTILINE)
    for what in ("prompts", "answers"):
        assert re.search(rf"^ok +{what} +KL .* the same 100\.0% of the time$", result.stdout, re.MULTILINE)


def test_the_doctor_says_why_a_model_cannot_be_measured(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    result = fireside("doctor", "--quality", "--model", tmp_path / "broken.gguf")
    assert result.returncode == 1
    assert re.search(r"^problem +quality +broken\.gguf is cut short", result.stdout, re.MULTILINE)
    assert "Traceback" not in result.stderr
