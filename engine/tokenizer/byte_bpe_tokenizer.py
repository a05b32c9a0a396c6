"""Byte-level BPE computed by tiktoken, for vocabularies that it reproduces exactly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tiktoken

from engine.tokenizer.added_tokens import AddedToken, AddedTokenFinder
from engine.tokenizer.pretokenizer import Pretokenizer
from engine.tokenizer.tokenizer import Tokenizer

# fancy-regex keeps one stack entry per character of a white-space run and gives up at a million of them.
MAX_DIRECT_CHARACTERS = 200_000


class ByteBPETokenizer(Tokenizer):
    """A byte-level BPE.

    encoding: the same BPE as a `tiktoken.Encoding`. Ids from `vocabulary` on stand in it for bytes that the model has
    no token for; `encode` never returns them. added_tokens: all of them `plain`. ends: the keywords of Tokenizer.
    """

    def __init__(
        self,
        pretokenizer: Pretokenizer,
        ranks: Mapping[bytes, int],
        token_bytes: Sequence[bytes],
        added_tokens: Sequence[AddedToken],
        normalize: Callable[[str], str],
        **ends: Any,
    ) -> None:
        super().__init__(token_bytes, added_tokens, **ends)
        assert pretokenizer.pattern is not None
        singles = (bytes([byte]) for byte in range(256))
        absent = [single for single in singles if single not in ranks]
        stand_ins = {single: self.vocabulary + place for place, single in enumerate(absent)}
        self.encoding = tiktoken.Encoding(
            "model",
            pat_str=pretokenizer.pattern,
            mergeable_ranks={**ranks, **stand_ins},
            special_tokens=self.special_tokens,
        )
        self._pretokenizer = pretokenizer
        self._normalize = normalize
        self._found_before = AddedTokenFinder(token for token in added_tokens if not token.normalized)
        self._found_after = AddedTokenFinder(
            token.renamed(normalize(token.content)) for token in added_tokens if token.normalized
        )
        # An empty class is no regular expression; (?!) matches nowhere.
        self._missing = re.compile(b"[%s]" % re.escape(b"".join(absent)) if absent else b"(?!)")

    def _encode(self, text: str, *, at_start: bool) -> list[int]:
        """Bytes the model has no token for are left out, as the `tokenizers` library does: after the text is cut into
        words, before its bytes are joined."""
        ids: list[int] = []
        for part in self._found_before.split(text):
            found = [part] if isinstance(part, int) else self._found_after.split(self._normalize(part))
            for piece in found:
                ids += [piece] if isinstance(piece, int) else self._encode_ordinary(piece)
        return ids

    def _encode_ordinary(self, text: str) -> Iterable[int]:
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
