"""Text to token ids and back, by the byte-level BPE a GGUF file describes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import tiktoken

from engine.errors import ModelFormatError, UnsupportedModel
from engine.tokenizer.byte_bpe import Inexpressible, alphabet, mergeable_ranks
from engine.tokenizer.pretokenizer import PRETOKENIZERS, Pretokenizer

KEY = "tokenizer.ggml."
# fancy-regex keeps one stack entry per character of a white-space run and gives up at a million of them.
MAX_DIRECT_CHARACTERS = 200_000
# Control tokens that end an answer, in families whose files name just one of them.
END_TOKENS = frozenset({"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"})


class TokenType(IntEnum):
    """Values of `tokenizer.ggml.token_type` (llama.cpp, llama_token_type)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Tokenizer:
    """The tokenizer of one model; immutable, and safe to use from many threads.

    encoding: the same BPE as a `tiktoken.Encoding`. Ids from `vocabulary` on stand in it for bytes that the
    model has no token for; `encode` never returns them. special_tokens: text of control and user-defined
    tokens to their ids; only a chat template may use them, in ordinary text they are text. vocabulary: number
    of ids.
    """

    def __init__(
        self,
        encoding: tiktoken.Encoding,
        pretokenizer: Pretokenizer,
        token_bytes: Sequence[bytes],
        special_tokens: Mapping[str, int],
        *,
        eos_ids: Iterable[int],
        bos_id: int | None,
        add_bos: bool,
    ) -> None:
        self.encoding = encoding
        self.vocabulary = len(token_bytes)
        self.special_tokens = dict(special_tokens)
        self.eos_ids = frozenset(eos_ids)
        self.bos_id = bos_id
        self.add_bos = add_bos
        self._pretokenizer = pretokenizer
        self._token_bytes = tuple(token_bytes)
        missing = [byte for byte in range(256) if encoding.encode_single_token(bytes([byte])) >= self.vocabulary]
        # An empty class is no regular expression; (?!) matches nowhere.
        self._missing = re.compile(b"[%s]" % re.escape(bytes(missing)) if missing else b"(?!)")

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> Tokenizer:
        """Build from a GGUF file's metadata, as plain Python values.

        Raises UnsupportedModel for tokenizers other than the byte-level BPE families that are reproduced
        exactly, ModelFormatError for keys that are missing, of the wrong type or contradict each other.
        """
        fields = _Fields(metadata)
        model = fields.text("model")
        if model != "gpt2":
            raise UnsupportedModel(f"a model with a {model!r:.40} tokenizer", "only byte-level BPE (`gpt2`) is known")
        family = fields.text("pre") if fields.has("pre") else "default"
        pretokenizer = PRETOKENIZERS.get(family)
        if pretokenizer is None:
            known = ", ".join(PRETOKENIZERS)
            reason = f"how it cuts text into words is not known; known are {known}"
            raise UnsupportedModel(f"a model with the pre-tokenizer {family!r:.40}", reason)

        tokens = fields.texts("tokens")
        types = fields.integers("token_type")
        _check_tokens(tokens, types)
        normal = {text: id for id, text in enumerate(tokens) if types[id] == TokenType.NORMAL}
        merges = _parse_merges(fields.texts("merges"), normal)
        try:
            ranks = mergeable_ranks(normal, merges, whole_words=pretokenizer.whole_words)
        except Inexpressible as error:
            raise UnsupportedModel(f"a model with this {family!r} vocabulary", str(error)) from None

        token_bytes = _bytes_of_tokens(tokens, types)
        by_bytes = {token_bytes[id]: id for id in ranks.values()}
        singles = (bytes([byte]) for byte in range(256))
        absent = [single for single in singles if single not in by_bytes]
        by_bytes.update({single: len(tokens) + place for place, single in enumerate(absent)})
        special = {
            text: id
            for id, text in enumerate(tokens)
            if types[id] in (TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN)
        }
        encoding = tiktoken.Encoding(
            family, pat_str=pretokenizer.pattern, mergeable_ranks=by_bytes, special_tokens=special
        )
        named = (fields.token_id(f"{end}_token_id", len(tokens)) for end in ("eos", "eot", "eom"))
        ends = {id for id in named if id is not None}
        ends.update(id for text, id in special.items() if text in END_TOKENS)
        return cls(
            encoding,
            pretokenizer,
            token_bytes,
            special,
            eos_ids=ends,
            bos_id=fields.token_id("bos_token_id", len(tokens)),
            add_bos=fields.flag("add_bos_token", default=pretokenizer.add_bos),
        )

    def encode(self, text: str) -> list[int]:
        """Ids of ordinary text, without BOS: a typed control token is text.

        Takes any `str`: a lone surrogate counts as U+FFFD. Bytes the model has no token for are left out, as
        the `tokenizers` library does: after the text is cut into words, before its bytes are joined.
        """
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        text = self._pretokenizer.normalize(text)
        if len(text) <= MAX_DIRECT_CHARACTERS and not self._missing.search(text.encode()):
            try:
                return self.encoding.encode_ordinary(text)
            except BaseException as error:
                # tiktoken panics where its regex engine gives up: no Exception, no importable class.
                if type(error).__name__ != "PanicException":
                    raise
        ids: list[int] = []
        for word in self._pretokenizer.words(text):
            if kept := self._missing.sub(b"", word.encode()):
                ids += self.encoding._encode_single_piece(kept)
        return ids

    def token_bytes(self, id: int) -> bytes:
        """The bytes a token adds to the text; b"" for control tokens. Raises KeyError for an unknown id."""
        if not 0 <= id < self.vocabulary:
            raise KeyError(id)
        return self._token_bytes[id]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of tokens; bytes that are not UTF-8 become U+FFFD. Raises KeyError for an unknown id."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")


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
        values = self._typed(name, list)
        if others := {type(value).__name__ for value in values} - {kind.__name__}:
            raise ModelFormatError(f"{KEY}{name} must hold {kind.__name__} only, not {min(others)}")
        return values


def _check_tokens(tokens: list[str], types: list[int]) -> None:
    if len(types) != len(tokens):
        raise ModelFormatError(f"the model file has {len(tokens):,} tokens, but types for {len(types):,}")
    if unknown := set(types) - {*TokenType} | set(types) & {TokenType.BYTE}:
        raise ModelFormatError(f"{KEY}token_type holds {min(unknown)}, which byte-level BPE does not have")
    if len(set(tokens)) != len(tokens):
        first: dict[str, int] = {}
        again = next(id for id, text in enumerate(tokens) if first.setdefault(text, id) != id)
        raise ModelFormatError(f"tokens {first[tokens[again]]} and {again} of the model file are the same")
    if "" in tokens:
        raise ModelFormatError(f"token {tokens.index('')} of the model file is empty")


def _parse_merges(merges: list[str], normal: Mapping[str, int]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for place, merge in enumerate(merges):
        left, _, right = merge.partition(" ")
        if left not in normal or right not in normal or left + right not in normal:
            raise ModelFormatError(f"merge {place} of the model file, {merge!r:.60}, names a token that is not there")
        pairs.append((left, right))
    if len(set(pairs)) != len(pairs):
        raise ModelFormatError(f"{len(pairs) - len(set(pairs)):,} merges of the model file are listed twice")
    return pairs


def _bytes_of_tokens(tokens: list[str], types: list[int]) -> list[bytes]:
    """What each token adds to a text: ordinary ones are in the byte alphabet, user-defined ones plain."""
    byte_of = alphabet()
    contents: list[bytes] = []
    for id, (text, kind) in enumerate(zip(tokens, types, strict=True)):
        if kind == TokenType.NORMAL:
            try:
                contents.append(bytes([byte_of[character] for character in text]))
            except KeyError as error:
                raise ModelFormatError(f"token {id} holds {error.args[0]!r}, which stands for no byte") from None
        else:
            contents.append(text.encode("utf-8", "replace") if kind == TokenType.USER_DEFINED else b"")
    return contents
