"""What every tokenizer of a model can do, whatever computes it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from engine.tokenizer.added_tokens import WHITE_SPACE, AddedToken


class Tokenizer(ABC):
    """The tokenizer of one model; immutable, and safe to use from many threads.

    vocabulary: number of ids, those without a token included. special_tokens: text of the control tokens to their ids;
    only a chat template may use them, in ordinary text they are text. control_names: the same, by id. eos_ids: tokens
    that end an answer. bos_id, add_bos: the token a text begins with, and whether a plain prompt gets it.
    strips_leading_space: SentencePiece puts a space before a text, and `decode` takes one away again; what is written
    token by token must do the same to the first token of a message, and only to that: a message that is continued has
    its beginning elsewhere.
    """

    def __init__(
        self,
        token_bytes: Sequence[bytes],
        added_tokens: Iterable[AddedToken],
        *,
        eos_ids: Iterable[int] = (),
        bos_id: int | None = None,
        add_bos: bool = False,
        strips_leading_space: bool = False,
    ) -> None:
        self.vocabulary = len(token_bytes)
        self.eos_ids = frozenset(eos_ids)
        self.bos_id = bos_id
        self.add_bos = add_bos
        self.strips_leading_space = strips_leading_space
        self._special = {token.content: token for token in added_tokens if token.special}
        self.special_tokens = {content: token.id for content, token in self._special.items()}
        self.control_names = {id: content for content, id in self.special_tokens.items()}
        self._token_bytes = tuple(token_bytes)

    @abstractmethod
    def _encode(self, text: str, *, at_start: bool) -> list[int]:
        """Ids of well-formed ordinary text; at_start: nothing comes before it."""

    def with_eos(self, ids: Iterable[int]) -> Tokenizer:
        """The same tokenizer with more tokens that end an answer, such as those of `generation_config.json`."""
        other = copy.copy(self)
        other.eos_ids = self.eos_ids | frozenset(ids)
        return other

    def encode(self, text: str) -> list[int]:
        """Ids of ordinary text, without BOS: a typed control token is text.

        Added tokens that are no control tokens, such as runs of spaces, are found as the model's own tokenizer finds
        them. Takes any `str`: a lone surrogate counts as U+FFFD. Raises InvalidPrompt for a text so long (several MB)
        that the library underneath gives up.
        """
        return self._encode(_well_formed(text), at_start=True)

    def encode_within(self, text: str) -> list[int]:
        """Ids of ordinary text that goes on with another, so that no space is put before it; else as `encode`."""
        if not self.strips_leading_space:
            return self.encode(text)
        # A line break is a token by itself in SentencePiece's vocabularies, and joins with nothing.
        before = self.encode("\n")
        after = self.encode("\n" + text)
        return after[len(before) :] if after[: len(before)] == before else self.encode(text)

    def encode_pieces(self, pieces: Iterable[tuple[str, bool]]) -> list[int]:
        """Ids of a rendered conversation, as transformers' `apply_chat_template` gives them.

        pieces: text, and whether it is a control token that the template itself wrote; neighbouring texts are one
        text. White space beside a control token that swallows it (`lstrip`, `rstrip`: Phi-3's) is left out, and where
        the tokenizer puts a space before a text, it does so at the beginning only or after every control token,
        whichever the model was trained with. Raises KeyError for a control token that is not the model's.
        """
        ids: list[int] = []
        texts: list[str] = []
        before: AddedToken | None = None
        for piece, special in pieces:
            if not special:
                texts.append(piece)
                continue
            token = self._special[piece]
            ids += self._between(before, "".join(texts), token)
            ids.append(token.id)
            texts, before = [], token
        return ids + self._between(before, "".join(texts), None)

    def _between(self, before: AddedToken | None, text: str, after: AddedToken | None) -> list[int]:
        text = _well_formed(text)
        if before and before.rstrip:
            text = text.lstrip(WHITE_SPACE)
        if after and after.lstrip:
            text = text.rstrip(WHITE_SPACE)
        return self._encode(text, at_start=before is None) if text else []

    def token_bytes(self, id: int) -> bytes:
        """The bytes a token adds in the middle of a text; b"" for control tokens and ids without a token.

        Joined, they are what `decode` turns into text, but for strips_leading_space. Raises KeyError for an id outside
        the vocabulary.
        """
        if not 0 <= id < self.vocabulary:
            raise KeyError(id)
        return self._token_bytes[id]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of tokens; bytes that are not UTF-8 become U+FFFD. Raises KeyError for an unknown id."""
        data = b"".join(map(self.token_bytes, ids))
        if self.strips_leading_space:
            data = data.removeprefix(b" ")
        return data.decode("utf-8", "replace")


def _well_formed(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
