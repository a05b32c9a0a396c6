"""The tokenizer a GGUF file describes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from engine.errors import ModelFormatError, UnsupportedModel
from engine.tokenizer.added_tokens import AddedToken, end_ids, looks_like_control
from engine.tokenizer.bpe import BPE, SPACE
from engine.tokenizer.pretokenizer import DEEPSEEK3, DIGITS, GPT2, GPT4O, LLAMA3, QWEN2, TEKKEN, Pretokenizer
from engine.tokenizer.sentencepiece import METASPACE, PREPEND, merges_of_scores
from engine.tokenizer.tokenizer import Tokenizer

KEY = "tokenizer.ggml."


class TokenType(IntEnum):
    """Values of `tokenizer.ggml.token_type` (llama.cpp, llama_token_type)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Family(NamedTuple):
    """What `tokenizer.ggml.pre` stands for. add_bos: whether a text begins with BOS if the file does not tell."""

    pretokenizer: Pretokenizer
    whole_words: bool = False
    nfc: bool = False
    add_bos: bool = False


# The names llama.cpp's converter writes, each for one tokenizer.json it has seen (its convert_hf_to_gguf_update.py).
FAMILIES: Mapping[str, Family] = {
    "gpt-2": Family(GPT2),
    "olmo": Family(GPT2, nfc=True),
    "smollm": Family(DIGITS),
    "starcoder": Family(DIGITS),
    "refact": Family(DIGITS),
    "llama-bpe": Family(LLAMA3, whole_words=True, add_bos=True),
    "dbrx": Family(LLAMA3),
    "qwen2": Family(QWEN2, nfc=True),
    "gpt-4o": Family(GPT4O),
    "tekken": Family(TEKKEN, whole_words=True, add_bos=True),
    "deepseek-v3": Family(DEEPSEEK3),
}


def tokenizer_from_gguf(metadata: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a GGUF file.

    metadata: of the file, as plain Python values. User-defined tokens are found in ordinary text, control tokens are
    not. Raises UnsupportedModel for kinds and families that are not reproduced exactly, ModelFormatError for keys that
    are missing, of the wrong type or contradict each other.
    """
    fields = _Fields(metadata)
    model, architecture = fields.text("model"), metadata.get("general.architecture")
    if model == "gpt2":
        bpe, add_bos = _byte_level(fields, architecture)
    elif model == "llama":
        bpe, add_bos = _sentencepiece(fields, architecture)
    else:
        raise UnsupportedModel(
            f"a model with a {model!r:.40} tokenizer",
            "only BPE is known, byte-level (`gpt2`) or SentencePiece's (`llama`)",
        )
    size = max(bpe.vocabulary.values(), default=-1) + 1
    size = max(size, 1 + max((token.id for token in bpe.added_tokens), default=-1))
    ends = {id for name in ("eos", "eot", "eom") if (id := fields.token_id(f"{name}_token_id", size)) is not None}
    ends |= end_ids(bpe.added_tokens)
    return bpe.tokenizer(
        eos_ids=ends,
        bos_id=fields.token_id("bos_token_id", size),
        add_bos=fields.flag("add_bos_token", default=add_bos),
        strips_leading_space=bpe.normalizer == PREPEND,
    )


def _byte_level(fields: _Fields, architecture: Any) -> tuple[BPE, bool]:
    name = fields.text("pre") if fields.has("pre") else "default"
    family = FAMILIES.get(name)
    if family is None:
        reason = f"how it cuts text into words is not known; known are {', '.join(FAMILIES)}"
        raise UnsupportedModel(f"a model with the pre-tokenizer {name!r:.40}", reason)
    if architecture == "phi3" and name in ("dbrx", "gpt-4o"):
        why = "a GGUF file does not keep which control tokens swallow white space: use the folder with tokenizer.json"
        raise UnsupportedModel("a model with Phi-4's tokenizer", why)
    tokens, types = _tokens(fields)
    if TokenType.BYTE in types:
        raise ModelFormatError(f"{KEY}token_type holds {TokenType.BYTE}, which byte-level BPE does not have")
    normal = {text: id for id, text in enumerate(tokens) if types[id] == TokenType.NORMAL}
    merges = [_merge(merge, place, normal) for place, merge in enumerate(fields.texts("merges"))]
    # Behind the others, added tokens are numbered as they are added; among them, they need a place of their own.
    at_end = list(normal.values()) == list(range(len(normal)))
    bpe = BPE(
        vocabulary=normal if at_end else {text: id for id, text in enumerate(tokens)},
        merges=merges,
        added_tokens=_added(tokens, types),
        normalizer={"type": "NFC"} if family.nfc else None,
        pre_tokenizer=family.pretokenizer.json,
        byte_level=True,
        whole_words=family.whole_words,
    )
    return bpe, family.add_bos


def _sentencepiece(fields: _Fields, architecture: Any) -> tuple[BPE, bool]:
    tokens, types = _tokens(fields)
    for name in ("remove_extra_whitespaces", "treat_whitespace_as_suffix"):
        if fields.flag(name, default=False):
            raise UnsupportedModel("a model with this SentencePiece tokenizer", f"it sets {name}")
    if fields.has("precompiled_charsmap"):
        raise UnsupportedModel(
            "a model with this SentencePiece tokenizer", "it rewrites characters by a map of its own"
        )
    if fields.has("merges"):
        raise UnsupportedModel("a model with this SentencePiece tokenizer", "it has scores and merges at once")
    control = {text for id, text in enumerate(tokens) if types[id] == TokenType.CONTROL}
    if "[INST]" in control:
        why = "a GGUF file does not say where it puts spaces after [INST]: use the original folder with tokenizer.json"
        raise UnsupportedModel("a model with Mistral's later SentencePiece tokenizer", why)
    scores = fields.numbers("scores")
    if len(scores) != len(tokens):
        raise ModelFormatError(f"the model file has {len(tokens):,} tokens, but scores for {len(scores):,}")
    # Gemma's runs of spaces, which its tokenizer.json makes by merges that come before all others.
    for id, text in enumerate(tokens):
        if types[id] == TokenType.USER_DEFINED and not text.strip(" "):
            tokens[id], scores[id] = SPACE * len(text), 0.0
    mergeable = {id for id, kind in enumerate(types) if kind in (TokenType.NORMAL, TokenType.USER_DEFINED)}
    prefix = fields.flag("add_space_prefix", default=True)
    unknown = [text for id, text in enumerate(tokens) if types[id] == TokenType.UNKNOWN]
    bpe = BPE(
        vocabulary={text: id for id, text in enumerate(tokens)},
        merges=merges_of_scores(tokens, scores, mergeable),
        added_tokens=_added(tokens, types, swallowing=architecture == "phi3"),
        normalizer=PREPEND if prefix else METASPACE,
        pre_tokenizer=None,
        byte_level=False,
        byte_fallback=True,
        fuse_unk=True,
        unk_token=unknown[0] if unknown else None,
    )
    return bpe, True


def _added(tokens: list[str], types: list[int], *, swallowing: bool = False) -> list[AddedToken]:
    """The control and user-defined tokens. swallowing: Phi-3's, of which a GGUF file does not keep that most of them
    swallow the white space that follows; llama.cpp knows the same exceptions by name."""
    kept = {"<unk>", "<s>", "<|endoftext|>"}
    special = {TokenType.CONTROL, TokenType.UNKNOWN}
    return [
        AddedToken(
            text,
            id,
            special=types[id] in special or looks_like_control(text),
            rstrip=swallowing and text not in kept,
        )
        for id, text in enumerate(tokens)
        if types[id] in special or types[id] == TokenType.USER_DEFINED
    ]


def _tokens(fields: _Fields) -> tuple[list[str], list[int]]:
    tokens, types = fields.texts("tokens"), fields.integers("token_type")
    if len(types) != len(tokens):
        raise ModelFormatError(f"the model file has {len(tokens):,} tokens, but types for {len(types):,}")
    if unknown := set(types) - {*TokenType}:
        raise ModelFormatError(f"{KEY}token_type holds {min(unknown)}, which is no type of token")
    if len(set(tokens)) != len(tokens):
        first: dict[str, int] = {}
        again = next(id for id, text in enumerate(tokens) if first.setdefault(text, id) != id)
        raise ModelFormatError(f"tokens {first[tokens[again]]} and {again} of the model file are the same")
    return tokens, types


def _merge(merge: str, place: int, normal: Mapping[str, int]) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    if left not in normal or right not in normal or left + right not in normal:
        raise ModelFormatError(f"merge {place} of the model file, {merge!r:.60}, names a token that is not there")
    return left, right


class _Fields:
    """The `tokenizer.ggml.*` keys of a GGUF file, each checked when it is read."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._metadata = metadata

    def has(self, name: str) -> bool:
        return KEY + name in self._metadata

    def text(self, name: str) -> str:
        return self._typed(name, str)

    def texts(self, name: str) -> list[str]:
        return self._list(name, str)

    def integers(self, name: str) -> list[int]:
        return self._list(name, int)

    def numbers(self, name: str) -> list[float]:
        return self._list(name, float)

    def flag(self, name: str, *, default: bool) -> bool:
        return self._typed(name, bool) if self.has(name) else default

    def token_id(self, name: str, vocabulary: int) -> int | None:
        if not self.has(name):
            return None
        id = self._typed(name, int)
        if not 0 <= id < vocabulary:
            raise ModelFormatError(f"{KEY}{name} is {id}, but token ids go from 0 to {vocabulary - 1}")
        return id

    def _typed(self, name: str, kind: type) -> Any:
        if not self.has(name):
            raise ModelFormatError(f"the model file has no {KEY}{name}, so its text cannot be tokenised")
        value = self._metadata[KEY + name]
        # bool is an int in Python, but not in a GGUF file.
        if type(value) is not kind:
            raise ModelFormatError(f"{KEY}{name} must be {kind.__name__}, not {type(value).__name__}")
        return value

    def _list(self, name: str, kind: type) -> list[Any]:
        values = list(self._typed(name, list))
        if others := {type(value).__name__ for value in values} - {kind.__name__}:
            raise ModelFormatError(f"{KEY}{name} must hold {kind.__name__} only, not {min(others)}")
        return values
