"""No template finds a way out of the sandbox, wherever it came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import TemplateError
from engine.template import ChatTemplate
from tests.engine.template.hostile import ESCAPES

TALK = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
TOKENIZER: Any = SimpleNamespace(special_tokens={"<s>": 1})


def from_gguf(source: str, folder: Path) -> ChatTemplate:
    return ChatTemplate.from_gguf({"tokenizer.chat_template": source}, TOKENIZER)


def from_jinja(source: str, folder: Path) -> ChatTemplate:
    (folder / "chat_template.jinja").write_text(source)
    return ChatTemplate.from_folder(folder, TOKENIZER)


def from_config(source: str, folder: Path) -> ChatTemplate:
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": source}))
    return ChatTemplate.from_folder(folder, TOKENIZER)


@pytest.mark.parametrize("load", [from_gguf, from_jinja, from_config])
@pytest.mark.parametrize("source", ESCAPES)
def test_ways_out_are_refused(source: str, load: Callable[[str, Path], ChatTemplate], tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(TemplateError) as caught:
        load(source.replace("CANARY", str(canary)), tmp_path).render(TALK)
    assert "\n" not in str(caught.value)
    assert not canary.exists()


def test_there_are_enough_of_them() -> None:
    assert len(set(ESCAPES)) >= 40
