"""Where templates are found, in GGUF files and in folders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from engine.errors import EngineError, ModelFormatError, TemplateError
from engine.template import ChatTemplate
from engine.template.source import FALLBACK, folder_source, gguf_source

TOKENIZER: Any = SimpleNamespace(special_tokens={})
TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


def write(folder: Path, files: Mapping[str, Any]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


FOLDERS = [
    {
        "chat_template.jinja": "A",
        "tokenizer_config.json": {"chat_template": "B"},
        "chat_template.json": {"chat_template": "C"},
    },
    {"additional_chat_templates/default.jinja": "A", "tokenizer_config.json": {"chat_template": "B"}},
    {"tokenizer_config.json": {"chat_template": "A"}, "chat_template.json": {"chat_template": "C"}},
    {
        "tokenizer_config.json": {
            "chat_template": [{"name": "tool_use", "template": "B"}, {"name": "default", "template": "A"}]
        }
    },
    {"tokenizer_config.json": {"chat_template": [{"name": "chat", "template": "A"}]}},
    {"tokenizer_config.json": {}, "chat_template.json": {"chat_template": "A"}},
    {"additional_chat_templates/tool_use.jinja": "B", "tokenizer_config.json": {"chat_template": "A"}},
]


@pytest.mark.parametrize("files", FOLDERS)
def test_a_folder_s_template_is_found(tmp_path: Path, files: dict[str, Any]) -> None:
    assert folder_source(write(tmp_path, files)).text == "A"


@pytest.mark.parametrize(
    "metadata",
    [
        {"tokenizer.chat_template": "A", "tokenizer.chat_templates": ["x"], "tokenizer.chat_template.x": "B"},
        {
            "tokenizer.chat_templates": ["x", "default"],
            "tokenizer.chat_template.x": "B",
            "tokenizer.chat_template.default": "A",
        },
        {"tokenizer.chat_templates": ["x"], "tokenizer.chat_template.x": "A"},
    ],
)
def test_a_gguf_file_s_template_is_found(metadata: dict[str, Any]) -> None:
    assert gguf_source(metadata).text == "A"


def test_a_model_without_a_template_gets_the_fallback(tmp_path: Path) -> None:
    for template in (ChatTemplate.from_folder(tmp_path, TOKENIZER), ChatTemplate.from_gguf({}, TOKENIZER)):
        assert template.render(TALK).text == "System: Be brief.\n\nUser: Hi\n\nAssistant:"
    assert folder_source(tmp_path).text == FALLBACK


def test_templates_see_the_names_that_transformers_gives(tmp_path: Path) -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE(vocab={"a": 0}, merges=[])),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )
    source = (
        "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token }}{{ unk_token is defined }}{{ image_token }}"
        "{{ tools is none }}{{ documents is none }}{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    tokenizer.chat_template = source
    tokenizer.save_pretrained(tmp_path)
    expected = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(TALK, tokenize=False)
    assert ChatTemplate.from_folder(tmp_path, TOKENIZER).render(TALK).text == expected
    assert "<s></s><pad>False<image>TrueTrue" in expected


@pytest.mark.parametrize("bos", ["<s>", {"content": "<s>", "lstrip": False}])
def test_a_token_may_be_an_object(tmp_path: Path, bos: object) -> None:
    write(tmp_path, {"tokenizer_config.json": {"bos_token": bos, "eos_token": None, "add_bos_token": True}})
    assert folder_source(tmp_path).names == {"bos_token": "<s>"}


def test_older_folders_name_them_in_a_file_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, {"special_tokens_map.json": {"eos_token": "</s>"}, "tokenizer_config.json": {}})
    assert folder_source(tmp_path).names == {"eos_token": "</s>"}


def test_a_gguf_file_names_them_by_id() -> None:
    metadata = {
        "tokenizer.ggml.tokens": ["<s>", "</s>", 7],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.unknown_token_id": 2,
        "tokenizer.ggml.padding_token_id": 99,
        "tokenizer.ggml.mask_token_id": "x",
    }
    assert gguf_source(metadata).names == {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"chat_template.jinja": "a" * 1_000_001}, ModelFormatError),
        ({"chat_template.jinja": "a" * 200_001}, TemplateError),
        ({"chat_template.jinja": "{% if"}, TemplateError),
        ({"tokenizer_config.json": {"chat_template": 7}}, ModelFormatError),
        ({"tokenizer_config.json": {"chat_template": {"default": "x"}}}, ModelFormatError),
        ({"tokenizer_config.json": {"chat_template": [1, None, "x"]}}, TemplateError),
        ({"tokenizer_config.json": {"chat_template": [{"name": "default", "template": 7}]}}, ModelFormatError),
        (
            {
                "tokenizer_config.json": {
                    "chat_template": [{"name": "../a", "template": "x"}, {"name": "b", "template": "y"}]
                }
            },
            TemplateError,
        ),
        ({"tokenizer_config.json": "[" * 100_000}, ModelFormatError),
        ({"tokenizer_config.json": "nothing"}, ModelFormatError),
        ({"chat_template.json": "[]"}, ModelFormatError),
        ({"tokenizer_config.json": {"chat_template": "{{ bos_token.x.y }}", "bos_token": 7}}, TemplateError),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, files: dict[str, Any], error: type[EngineError]) -> None:
    with pytest.raises(error) as caught:
        ChatTemplate.from_folder(write(tmp_path, files), TOKENIZER).render(TALK)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe{{ 1 }}")
    with pytest.raises(ModelFormatError, match=r"chat_template\.jinja"):
        ChatTemplate.from_folder(tmp_path, TOKENIZER)


@pytest.mark.parametrize(
    "metadata",
    [
        {"tokenizer.chat_template": 7},
        {"tokenizer.chat_template": ["x"]},
        {"tokenizer.chat_templates": "default"},
        {"tokenizer.chat_templates": ["a"], "tokenizer.chat_template.a": 7},
    ],
)
def test_damaged_metadata_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(ModelFormatError, match="chat_template"):
        ChatTemplate.from_gguf(metadata, TOKENIZER)
