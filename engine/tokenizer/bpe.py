"""The byte-pair encoding a model file describes, and the tokenizer that computes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from engine.errors import ModelFormatError
from engine.tokenizer.added_tokens import AddedToken
from engine.tokenizer.byte_bpe import Inexpressible, alphabet, mergeable_ranks
from engine.tokenizer.byte_bpe_tokenizer import ByteBPETokenizer
from engine.tokenizer.library_tokenizer import LibraryTokenizer
from engine.tokenizer.normalization import nfc
from engine.tokenizer.pretokenizer import recognised
from engine.tokenizer.tokenizer import Tokenizer

SPACE = "▁"
BYTE_TOKENS = {f"<0x{byte:02X}>": byte for byte in range(256)}
# Far above any vocabulary there is; a table of all ids is kept.
MAX_ID = 2**22
MAX_ADDED = 20_000
MAX_ADDED_CHARACTERS = 1_000


def refuse_too_many_added(count: int) -> None:
    """Raise ModelFormatError for more added tokens than any model has; before they are read, which would take long."""
    if count > MAX_ADDED:
        raise ModelFormatError(f"the tokenizer has {count:,} added tokens; at most {MAX_ADDED:,}")


@dataclass(frozen=True)
class BPE:
    """What a tokenizer.json's `model`, `normalizer`, `pre_tokenizer` and `decoder` say, checked for its types.

    vocabulary: text of each token to its id, added tokens included or not. merges: pairs of tokens, in order of
    priority; whole_words: a word that is a token becomes that token, whatever they say (`ignore_merges`).
    byte_level: tokens are spelled in GPT-2's byte alphabet; otherwise in characters, with U+2581 for a space and, if
    byte_fallback, tokens such as <0x0A> for the bytes of characters that are no token.
    """

    vocabulary: Mapping[str, int]
    merges: Sequence[tuple[str, str]]
    added_tokens: Sequence[AddedToken]
    normalizer: Any
    pre_tokenizer: Any
    byte_level: bool
    whole_words: bool = False
    byte_fallback: bool = False
    fuse_unk: bool = False
    unk_token: str | None = None

    def tokenizer(self, **ends: Any) -> Tokenizer:
        """The tokenizer that computes it: tiktoken where that is proved to be exact, else the `tokenizers` library.

        ends: the keywords of Tokenizer. Raises ModelFormatError where its parts contradict each other, UnsupportedModel
        where chats could not be tokenised exactly.
        """
        self._require_sound()
        return self._without_the_impossible()._built(ends)

    def _built(self, ends: Mapping[str, Any]) -> Tokenizer:
        if self.unk_token is not None and self.unk_token not in self.vocabulary:
            raise ModelFormatError(f"the tokenizer's unk_token {self.unk_token!r:.40} is no token")
        token_bytes = self._token_bytes()
        tokenizer = self._by_ranks(token_bytes, ends) or LibraryTokenizer(
            self.json(), token_bytes, self.added_tokens, **ends
        )
        self._require_untypeable(tokenizer)
        return tokenizer

    def json(self) -> dict[str, Any]:
        """A tokenizer.json of it."""
        return {
            "version": "1.0",
            "added_tokens": [asdict(token) for token in sorted(self.added_tokens, key=lambda token: token.id)],
            "normalizer": self.normalizer,
            "pre_tokenizer": self.pre_tokenizer,
            "model": {
                "type": "BPE",
                "unk_token": self.unk_token,
                "fuse_unk": self.fuse_unk,
                "byte_fallback": self.byte_fallback,
                "ignore_merges": self.whole_words,
                "vocab": dict(self.vocabulary),
                "merges": [list(merge) for merge in self.merges],
            },
        }

    def _without_the_impossible(self) -> BPE:
        """The same, but that no control token can be typed, nor an unknown character be where all bytes are known.

        Conversions of SentencePiece list merges that make control tokens: they join only where its whole text is typed.
        """
        control = {token.content for token in self.added_tokens if token.special}
        merges = [(left, right) for left, right in self.merges if left + right not in control]
        all_known = self.byte_level and alphabet().keys() <= self.vocabulary.keys()
        return replace(self, merges=merges, unk_token=None if all_known else self.unk_token)

    def _require_sound(self) -> None:
        ids = self.vocabulary.values()
        if "" in self.vocabulary:
            raise ModelFormatError(f"token {self.vocabulary['']} of the tokenizer is empty")
        if outside := next((id for id in ids if not 0 <= id < MAX_ID), None):
            raise ModelFormatError(f"the tokenizer has a token {outside!s:.20}, but ids go from 0 to {MAX_ID - 1:,}")
        if len(set(ids)) < len(self.vocabulary):
            raise ModelFormatError(f"{len(self.vocabulary) - len(set(ids)):,} ids of the tokenizer are given out twice")
        for place, (left, right) in enumerate(self.merges):
            if not (left in self.vocabulary and right in self.vocabulary and left + right in self.vocabulary):
                raise ModelFormatError(
                    f"merge {place} of the tokenizer, {left!r:.40} {right!r:.40}, names a token that is not there"
                )
        if again := len(self.merges) - len(set(self.merges)):
            raise ModelFormatError(f"{again:,} merges of the tokenizer are listed twice")
        self._require_sound_added()

    def _require_sound_added(self) -> None:
        texts = {id: text for text, id in self.vocabulary.items()}
        refuse_too_many_added(len(self.added_tokens))
        for field in ("id", "content"):
            if len({getattr(token, field) for token in self.added_tokens}) < len(self.added_tokens):
                raise ModelFormatError(f"two added tokens of the tokenizer have the same {field}")
        reachable = {id for text, id in self.vocabulary.items() if len(text) == 1}
        if self.byte_fallback:
            reachable |= {self.vocabulary[text] for text in BYTE_TOKENS if text in self.vocabulary}
        for token in self.added_tokens:
            if not 0 < len(token.content) <= MAX_ADDED_CHARACTERS:
                raise ModelFormatError(
                    f"added token {token.id} has {len(token.content):,} characters; it needs 1 to 1,000"
                )
            if not 0 <= token.id < MAX_ID:
                raise ModelFormatError(
                    f"the added token {token.content!r:.40} has the id {token.id!s:.20}, out of range"
                )
            if texts.get(token.id, token.content) != token.content:
                raise ModelFormatError(f"token {token.id} is {texts[token.id]!r:.40} and {token.content!r:.40} at once")
            if token.special and token.id in reachable:
                raise ModelFormatError(f"the control token {token.content!r:.40} is what ordinary text becomes, too")

    def _token_bytes(self) -> list[bytes]:
        """What each id adds to a text: nothing for control tokens and for ids without a token."""
        added = {token.id: token for token in self.added_tokens}
        contents = [b""] * (1 + max([*self.vocabulary.values(), *added], default=-1))
        byte_of = alphabet()
        for text, id in self.vocabulary.items():
            if id in added:
                continue
            if not self.byte_level:
                byte = BYTE_TOKENS.get(text) if self.byte_fallback else None
                contents[id] = text.replace(SPACE, " ").encode() if byte is None else bytes([byte])
                continue
            try:
                contents[id] = bytes([byte_of[character] for character in text])
            except KeyError as error:
                raise ModelFormatError(f"token {id} holds {error.args[0]!r}, which stands for no byte") from None
        for token in self.added_tokens:
            if not token.special:
                text = token.content if self.byte_level else token.content.replace(SPACE, " ")
                contents[token.id] = text.encode()
        return contents

    def _by_ranks(self, token_bytes: Sequence[bytes], ends: Mapping[str, Any]) -> Tokenizer | None:
        """The same by tiktoken, or None where that is not provably the same."""
        rule = recognised(self.pre_tokenizer)
        normalize = {(): str, ("NFC",): nfc}.get(tuple(_normalizers(self.normalizer)))
        if not (self.byte_level and rule and rule.pattern and normalize and self.unk_token is None):
            return None
        if not all(token.plain for token in self.added_tokens) or not self._numbered_as_added():
            return None
        after = [normalize(token.content) for token in self.added_tokens if token.normalized]
        if len(set(after)) < len(after):
            return None
        added = {token.content for token in self.added_tokens} & self.vocabulary.keys()
        added -= {left + right for left, right in self.merges}
        # Found in text before it is cut, or not at all, unless a word may be spelled like it.
        if self.whole_words and any(rule.can_be_word(spelled) for text in added if (spelled := _spelled_by(text))):
            return None
        ids = {text: id for text, id in self.vocabulary.items() if text not in added}
        try:
            ranks = mergeable_ranks(ids, self.merges, whole_words=self.whole_words)
        except Inexpressible:
            return None
        by_bytes = {token_bytes[id]: id for id in ranks.values()}
        return ByteBPETokenizer(rule, by_bytes, token_bytes, self.added_tokens, normalize, **ends)

    def _require_untypeable(self, tokenizer: Tokenizer) -> None:
        control = set(tokenizer.special_tokens.values())
        # Characters without a token become this one, which is harmless unless it means something else, too.
        if self.unk_token is not None and (unknown := self.vocabulary[self.unk_token]) not in tokenizer.eos_ids:
            control.discard(unknown)
        for content in tokenizer.special_tokens:
            if control.intersection(tokenizer.encode(content)):
                raise ModelFormatError(f"the control token {content!r:.40} is what ordinary text becomes, too")

    def _numbered_as_added(self) -> bool:
        """Whether the library would give the added tokens their ids; it does not look at those of the file."""
        size = len(self.vocabulary)
        new = sorted(token.id for token in self.added_tokens if token.content not in self.vocabulary)
        return new == list(range(size, size + len(new)))


def _normalizers(normalizer: Any) -> Iterator[str]:
    match normalizer:
        case None:
            return
        case {"type": "Sequence", "normalizers": parts}:
            for part in parts:
                yield from _normalizers(part)
        case {"type": kind}:
            yield kind


def _spelled_by(token: str) -> str | None:
    """The text whose bytes a token in the byte alphabet stands for, if any."""
    byte_of = alphabet()
    try:
        return bytes(byte_of[character] for character in token).decode()
    except (KeyError, UnicodeDecodeError):
        return None
