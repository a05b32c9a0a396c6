"""The tokenizer of a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.errors import ModelFormatError, UnsupportedModel
from engine.tokenizer.added_tokens import AddedToken, end_ids
from engine.tokenizer.named import tokenizer_by_name
from engine.tokenizer.tokenizer import Tokenizer
from engine.tokenizer.tokenizer_json import leading_tokens, parse_added_token, parse_bpe

# The largest there are, Gemma 3's and Llama 4's, have some 35 MB.
MAX_BYTES = 100 * 2**20
MAX_CONFIG_BYTES = 4 * 2**20
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def tokenizer_from_folder(folder: Path) -> Tokenizer:
    """The tokenizer that `tokenizer.json` describes, with what the files beside it add, as transformers reads them.

    What tokenizer.json says holds, whatever class the folder names for it; code that it names is ignored.
    `tokenizer_config.json` and `special_tokens_map.json` say which tokens begin and end a text and which are control
    tokens; `added_tokens_decoder` and `added_tokens.json` hold further added tokens or other flags for them.

    A folder without tokenizer.json may name one of tiktoken's own encodings instead, as `encoding_name` in
    `tokenizer_config.json`.

    Raises UnsupportedModel where the folder has neither or one that is not reproduced exactly, ModelFormatError for
    files that are damaged, too large or contradict each other, ModelNotFound where the encoding is not on this machine.
    """
    config = _read(folder / "tokenizer_config.json")
    if not (folder / "tokenizer.json").exists():
        return _named(folder, config)
    description = _read(folder / "tokenizer.json", MAX_BYTES)
    names = _read(folder / "special_tokens_map.json") | config
    bpe, strips_space = parse_bpe(description)
    named = {name: text for name in NAMED if (text := _content(names.get(name)))}
    control = {*named.values(), *_extra(names)}
    added = _merged(bpe.added_tokens, _beside(folder, config))
    # transformers makes a control token of every token that has a name.
    tokens = [replace(token, special=token.special or token.content in control) for token in added]
    ids = {**bpe.vocabulary, **{token.content: token.id for token in tokens}}
    missing = sorted((control & bpe.vocabulary.keys()) - {token.content for token in tokens})
    tokens += [AddedToken(text, ids[text], special=True) for text in missing]
    ends = end_ids(tokens)
    if named.get("eos_token") in ids:
        ends.add(ids[named["eos_token"]])
    bos = named.get("bos_token")
    add_bos = config.get("add_bos_token")
    if not isinstance(add_bos, bool):
        add_bos = bos is not None and leading_tokens(description.get("post_processor"))[:1] == [bos]
    return replace(bpe, added_tokens=tokens).tokenizer(
        eos_ids=ends, bos_id=ids.get(bos or ""), add_bos=add_bos, strips_leading_space=strips_space
    )


def _named(folder: Path, config: Mapping[str, Any]) -> Tokenizer:
    # The name of the setting is that of the wrapper which models trained with tiktoken, DBRX for one, bring as code.
    name = config.get("encoding_name")
    if name is None:
        why = (
            "it has no tokenizer.json; save it with transformers' AutoTokenizer, which writes one, "
            "or name tiktoken's encoding as encoding_name in tokenizer_config.json"
        )
        raise UnsupportedModel(f"the tokenizer of {folder.name}", why)
    if not isinstance(name, str):
        raise ModelFormatError(f"encoding_name must be a string, not {type(name).__name__}")
    tokenizer = tokenizer_by_name(name)
    eos = _content(config.get("eos_token"))
    return tokenizer.with_eos([tokenizer.special_tokens[eos]] if eos in tokenizer.special_tokens else [])


def _read(path: Path, max_bytes: int = MAX_CONFIG_BYTES) -> dict[str, Any]:
    # Checkpoints import tokenizers, so not at the top.
    from engine.checkpoint.json_file import read_json

    return read_json(path, max_bytes) if path.exists() else {}


def _content(token: Any) -> str | None:
    """The text of a token that a file names: as a string or as an object with flags."""
    text = token.get("content") if isinstance(token, dict) else token
    if not isinstance(text, str | None):
        raise ModelFormatError(f"a token named in tokenizer_config.json must be a string, not {type(text).__name__}")
    return text


def _extra(names: Mapping[str, Any]) -> Iterator[str]:
    """Control tokens without a role: `additional_special_tokens`, or what transformers 5 calls them."""
    for key in ("additional_special_tokens", "extra_special_tokens"):
        tokens = names.get(key) or []
        for token in tokens.values() if isinstance(tokens, dict) else tokens if isinstance(tokens, list) else ():
            if text := _content(token):
                yield text


def _beside(folder: Path, config: Mapping[str, Any]) -> Iterator[AddedToken]:
    decoder = config.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict):
        raise ModelFormatError(f"added_tokens_decoder must be an object, not {type(decoder).__name__}")
    for id, token in decoder.items():
        if not (id.isascii() and id.isdecimal() and len(id) < 10):
            raise ModelFormatError(f"added_tokens_decoder has the id {id!r:.40}, which is no number")
        yield parse_added_token(token, int(id))
    if not decoder:
        for content, id in _read(folder / "added_tokens.json").items():
            yield parse_added_token({"content": content, "id": id, "normalized": True})


def _merged(tokens: Iterator[AddedToken] | Any, beside: Iterator[AddedToken]) -> list[AddedToken]:
    """The added tokens by content, the later description of one replacing the earlier."""
    found = {token.content: token for token in tokens}
    for token in beside:
        known = found.get(token.content, token)
        if known.id != token.id:
            raise ModelFormatError(f"the added token {token.content!r:.40} has the ids {known.id} and {token.id}")
        found[token.content] = token
    return list(found.values())
