"""Token ids and probabilities of an answer, packed: two BLOBs a message instead of two rows a token.

`messages.token_ids` is one little-endian uint32 a token.

`messages.token_logprobs` is little-endian too: a byte with the version of the layout (1), a byte with k, the
number of alternatives, then a record of 4 + 8 k bytes a token: the float32 natural logarithm of the chosen
token's probability, and k pairs of uint32 id and float32 logarithm, likeliest first. Where a token has fewer
alternatives, the rest of its pairs have the id 0xFFFFFFFF. Both BLOBs have the same number of tokens.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

VERSION = 1
ALTERNATIVES = 5
NO_TOKEN = 0xFFFFFFFF

Top = Sequence[tuple[int, float]]


class TokenProbability(NamedTuple):
    """logprob: of the chosen token. top: the likeliest (id, logprob) pairs, the chosen one among them or
    not."""

    logprob: float
    top: tuple[tuple[int, float], ...]


class TokenLog:
    """Both BLOBs of a growing answer; appending costs the same however long it is."""

    def __init__(self, alternatives: int = ALTERNATIVES) -> None:
        self._record = _record(alternatives)
        self._alternatives = alternatives
        self._ids = bytearray()
        self._logprobs = bytearray((VERSION, alternatives))

    @classmethod
    def resumed(cls, ids: bytes, logprobs: bytes) -> TokenLog:
        """The log of an answer that is continued, from its BLOBs; ValueError if they do not belong together."""
        if len(unpack_ids(ids)) != len(unpack_logprobs(logprobs)):
            raise ValueError(f"token_ids of {len(ids)} bytes and token_logprobs of {len(logprobs)} differ in length")
        log = cls(logprobs[1]) if logprobs else cls()
        log._ids += ids
        log._logprobs += logprobs[2:]
        return log

    def __len__(self) -> int:
        return len(self._ids) // 4

    def append(self, token: int, logprob: float, top: Top = ()) -> None:
        """Add a token; alternatives beyond the log's number are left out."""
        values: list[float] = [logprob]
        for alternative, alternative_logprob in top[: self._alternatives]:
            values += (alternative, alternative_logprob)
        values += (NO_TOKEN, float("-inf")) * (self._alternatives - (len(values) - 1) // 2)
        # Packed first, so that a value out of range leaves both BLOBs of one length.
        id, record = struct.pack("<I", token), self._record.pack(*values)
        self._ids += id
        self._logprobs += record

    def ids(self) -> bytes:
        """The BLOB for `token_ids`."""
        return bytes(self._ids)

    def logprobs(self) -> bytes:
        """The BLOB for `token_logprobs`."""
        return bytes(self._logprobs)


def unpack_ids(blob: bytes | None) -> list[int]:
    """Token ids of a `token_ids` BLOB; ValueError if it is cut short."""
    if len(blob or b"") % 4:
        raise ValueError(f"token_ids of {len(blob or b'')} bytes is no whole number of tokens")
    return [id for (id,) in struct.iter_unpack("<I", blob or b"")]


def unpack_logprobs(blob: bytes | None) -> list[TokenProbability]:
    """Probabilities of a `token_logprobs` BLOB, one a token; ValueError if its layout is unknown or cut
    short."""
    if not blob:
        return []
    if len(blob) < 2 or blob[0] != VERSION:
        raise ValueError(f"token_logprobs has layout version {blob[0]}, known is {VERSION}")
    record = _record(blob[1])
    if (len(blob) - 2) % record.size:
        raise ValueError(f"token_logprobs of {len(blob)} bytes is no whole number of tokens")
    tokens = []
    for logprob, *pairs in record.iter_unpack(memoryview(blob)[2:]):
        top = tuple((id, value) for id, value in zip(pairs[::2], pairs[1::2], strict=True) if id != NO_TOKEN)
        tokens.append(TokenProbability(logprob, top))
    return tokens


def _record(alternatives: int) -> struct.Struct:
    return struct.Struct("<f" + "If" * alternatives)
