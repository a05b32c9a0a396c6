"""`fireside bench`, on a model small enough to be measured at once."""

from __future__ import annotations

import re
from pathlib import Path

from tests.app.command import assert_refused, fireside
from tests.tiny import write_tiny_llama


def test_it_measures_prompts_answers_and_several_at_once(tmp_path: Path) -> None:
    model = write_tiny_llama(tmp_path / "tiny.gguf", context=1024)
    result = fireside("bench", "--model", model, "--rounds", "2")
    assert result.returncode == 0, result.stderr
    first, *lines = result.stdout.splitlines()
    assert re.fullmatch(r"tiny, F32, kernels: .+, loaded in \d+\.\d s", first)
    figures = [re.fullmatch(r"(.+?) +([\d,.]+) tokens per second \(([\d,.]+) to ([\d,.]+)\)", line) for line in lines]
    assert [figure[1] for figure in figures if figure] == [
        "prompt of 512 tokens", "answer after 128 tokens", "8 answers at once",
    ]  # fmt: skip
    for figure in figures:
        assert figure is not None
        middle, least, most = (float(figure[place].replace(",", "")) for place in (2, 3, 4))
        assert 0 < least <= middle <= most


def test_a_context_that_is_too_small_is_told(tmp_path: Path) -> None:
    model = write_tiny_llama(tmp_path / "tiny.gguf")
    assert_refused(fireside("bench", "--model", model), 1, "514", "256")
