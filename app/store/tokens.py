"""Token ids and probabilities of an answer, packed: two BLOBs a message instead of two rows a token.

`messages.token_ids` is one little-endian uint32 a token.

`messages.token_logprobs` is little-endian too: a byte with the version of the layout (2), a byte with k, the
number of alternatives, then a record of 12 + 8 k bytes a token: the float32 natural logarithm of the chosen
token's probability; the float32 entropy of the distribution it is of, in nats, not a number where it is not known; its
rank in it as uint32, from 1, 0 where it is not known; and k pairs of uint32 id and float32 logarithm, likeliest first.
Where a token has fewer alternatives, the rest of its pairs have the id 0xFFFFFFFF. A logarithm that is not a number is
not known. Both BLOBs have the same number of tokens. With five alternatives a token takes 56 bytes in all.

Layout 1 has neither entropy nor rank: its records have 4 + 8 k bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

VERSION = 2
ALTERNATIVES = 5
NO_TOKEN = 0xFFFFFFFF
UNKNOWN = math.nan

Top = Sequence[tuple[int, float]]


class TokenProbability(NamedTuple):
    """logprob: of the chosen token. top: the likeliest (id, logprob) pairs, the chosen one among them or not.
    entropy: in nats, and rank, from 1, of the chosen token. What is not known is None."""

    logprob: float | None
    top: tuple[tuple[int, float], ...] = ()
    entropy: float | None = None
    rank: int | None = None


class TokenLog:
    """Both BLOBs of a growing answer; appending costs the same however long it is."""

    def __init__(self, alternatives: int = ALTERNATIVES) -> None:
        self._record = _record(VERSION, alternatives)
        self._alternatives = alternatives
        self._ids = bytearray()
        self._logprobs = bytearray((VERSION, alternatives))

    @classmethod
    def resumed(cls, ids: bytes, logprobs: bytes) -> TokenLog:
        """The log of an answer that is continued, from its BLOBs; ValueError if they do not belong together."""
        tokens, probabilities = unpack_ids(ids), unpack_logprobs(logprobs)
        if len(tokens) != len(probabilities):
            raise ValueError(f"token_ids of {len(ids)} bytes and token_logprobs of {len(logprobs)} differ in length")
        log = cls(logprobs[1]) if logprobs else cls()
        if logprobs and logprobs[0] == VERSION:
            log._ids += ids
            log._logprobs += logprobs[2:]
        else:
            for token, probability in zip(tokens, probabilities, strict=True):
                log.append(token, *probability)
        return log

    def __len__(self) -> int:
        return len(self._ids) // 4

    def append(
        self,
        token: int,
        logprob: float | None,
        top: Top = (),
        entropy: float | None = None,
        rank: int | None = None,
    ) -> None:
        """Add a token; alternatives beyond the log's number are left out."""
        unknown = [UNKNOWN if value is None else value for value in (logprob, entropy)]
        values: list[float] = [*unknown, rank or 0]
        for alternative, alternative_logprob in top[: self._alternatives]:
            values += (alternative, alternative_logprob)
        values += (NO_TOKEN, float("-inf")) * (self._alternatives - (len(values) - 3) // 2)
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
    return list(_unpacked(blob)) if blob else []


def _unpacked(blob: bytes) -> Iterator[TokenProbability]:
    if len(blob) < 2 or blob[0] not in (1, VERSION):
        raise ValueError(f"token_logprobs has layout version {blob[0]}, known are 1 and {VERSION}")
    record = _record(blob[0], blob[1])
    if (len(blob) - 2) % record.size:
        raise ValueError(f"token_logprobs of {len(blob)} bytes is no whole number of tokens")
    for logprob, *values in record.iter_unpack(memoryview(blob)[2:]):
        entropy, rank, *pairs = values if blob[0] == VERSION else (UNKNOWN, 0, *values)
        top = tuple((id, value) for id, value in zip(pairs[::2], pairs[1::2], strict=True) if id != NO_TOKEN)
        yield TokenProbability(_known(logprob), top, _known(entropy), rank or None)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _record(version: int, alternatives: int) -> struct.Struct:
    return struct.Struct("<f" + ("fI" if version == VERSION else "") + "If" * alternatives)
