"""Where a model keeps its chat template, and the names of special tokens that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import ModelFormatError, TemplateError

# For a model without a template: plain text that any model can continue.
FALLBACK = (
    "{% for message in messages %}"
    "{{ message['role'] | capitalize }}: {{ message['content'] }}\n\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
# The names that templates know special tokens by, and the GGUF keys of the same.
GGUF_NAMES: Mapping[str, str] = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "sep_token": "seperator_token_id",  # misspelt in the format itself
    "pad_token": "padding_token_id",
    "cls_token": "cls_token_id",
    "mask_token": "mask_token_id",
}
MAX_FILE_BYTES = 1_000_000
# Lists of added tokens make some of them long.
MAX_CONFIG_BYTES = 32_000_000
DEFAULT = "default"


class TemplateSource(NamedTuple):
    """A template's text, and the special tokens it may name, such as `bos_token`."""

    text: str
    names: Mapping[str, str]


def gguf_source(metadata: Mapping[str, Any]) -> TemplateSource:
    """From a GGUF file: `tokenizer.chat_template`, else its variant named "default", else FALLBACK.

    Raises ModelFormatError for values of the wrong type, TemplateError if there are variants but no default.
    """
    tokens = metadata.get("tokenizer.ggml.tokens") or []
    names = {}
    for name, key in GGUF_NAMES.items():
        id = metadata.get(f"tokenizer.ggml.{key}")
        if isinstance(id, int) and 0 <= id < len(tokens) and isinstance(tokens[id], str):
            names[name] = tokens[id]
    text = metadata.get("tokenizer.chat_template")
    if text is None and (variants := metadata.get("tokenizer.chat_templates")):
        if not isinstance(variants, list):
            raise ModelFormatError(f"tokenizer.chat_templates must be list, not {type(variants).__name__}")
        text = _default({str(name): metadata.get(f"tokenizer.chat_template.{name}") for name in variants})
    return TemplateSource(_text("tokenizer.chat_template", text), names)


def folder_source(folder: Path) -> TemplateSource:
    """From a folder as transformers saves it; the first of these, else FALLBACK:

    `chat_template.jinja`, `additional_chat_templates/default.jinja`, `chat_template` in `tokenizer_config.json` (a
    string, or a list of {"name", "template"}, of which "default"), `chat_template` in `chat_template.json`.

    Raises ModelFormatError for files that cannot be read, TemplateError if there are variants but no default.
    """
    config = _object(folder / "tokenizer_config.json")
    names = _names(config) or _names(_object(folder / "special_tokens_map.json"))
    for path in (folder / "chat_template.jinja", folder / "additional_chat_templates" / f"{DEFAULT}.jinja"):
        if path.is_file():
            return TemplateSource(_read(path), names)
    for name, value in (("tokenizer_config.json", config), ("chat_template.json", None)):
        template = (_object(folder / name) if value is None else value).get("chat_template")
        if isinstance(template, list):
            template = _default(
                {str(variant.get("name")): variant.get("template") for variant in template if isinstance(variant, dict)}
            )
        if template is not None:
            return TemplateSource(_text(f"chat_template in {name}", template), names)
    return TemplateSource(FALLBACK, names)


def _default(variants: Mapping[str, Any]) -> Any:
    if DEFAULT in variants:
        return variants[DEFAULT]
    if len(variants) == 1:
        return next(iter(variants.values()))
    raise TemplateError(f"the model has several chat templates, none of them named default: {', '.join(variants):.200}")


def _names(config: Mapping[str, Any]) -> dict[str, str]:
    """What transformers passes to templates: every `..._token` of its config, and named extra tokens."""
    extra = config.get("extra_special_tokens")
    named = {**(extra if isinstance(extra, dict) else {}), **config}
    names = {}
    for name, value in named.items():
        # Either the text, or an object that tells more about the token.
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            names[name] = text
    return names


def _text(what: str, value: Any) -> str:
    if value is None:
        return FALLBACK
    if not isinstance(value, str):
        raise ModelFormatError(f"{what} must be str, not {type(value).__name__}")
    return value


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ModelFormatError(f"{path.name} has more than {MAX_FILE_BYTES:,} bytes")
        return data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFormatError(f"{path.name} cannot be read: {error}") from None


def _object(path: Path) -> Mapping[str, Any]:
    """A JSON object; an empty one where there is no file."""
    # engine.checkpoint imports this package, and a process that only renders has no use for it.
    from engine.checkpoint.json_file import read_json

    return read_json(path, MAX_CONFIG_BYTES) if path.is_file() else {}
