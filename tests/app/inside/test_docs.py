"""The lines of Python in docs/inside.md do what they say."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[3]


def test_the_lines_of_python(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (CHECKOUT / "docs" / "inside.md").read_text(), re.DOTALL)
    [path] = re.findall(r'Engine.load\("([^"]+)"', code)
    assert Path(path).name == model_path.name
    monkeypatch.chdir(CHECKOUT)
    found: dict[str, Any] = {}
    exec(compile(code.replace(path, os.fspath(model_path)), "inside.md", "exec"), found)
    top = found["distribution"].top(2)
    assert [round(value, 2) for _, value in top] == [-0.26, -2.74]
    assert len(found["scores"]) == len(found["ids"]) - 1 == 4
    assert found["again"] == found["tokens"]
    assert found["branch"].stats.cached_tokens >= found["run"].stats.prompt_tokens + 2
    assert len(set(found["answers"])) > 1
    prompt = found["run"].stats.prompt_tokens
    assert found["shared"] == [prompt - 1] * 3
    assert found["seen"].attention.shape == (30, 9, 5)
    assert found["seen"].attention.sum(-1).sub(1).abs().max() < 1e-5
    assert found["seen"].layers.shape == (31, 49152)
