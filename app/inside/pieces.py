"""Tokens as they read: text that is whole, bytes where a character is spread over several, names of control tokens."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any, NamedTuple

from app.backend import Backend


class Piece(NamedTuple):
    """text: "" for the beginning of a character, which the token that completes it has. data: its bytes; control:
    whether it is a control token, whose name is the text then."""

    text: str
    data: bytes
    control: bool = False

    @property
    def broken(self) -> bool:
        """Whether the token is not text by itself."""
        return not self.control and self.text.encode("utf-8", "replace") != self.data


def pieces(backend: Backend, tokens: Sequence[int], *, begins: bool = False) -> list[Piece]:
    """Of each token what it adds to the text; raises InvalidPrompt for ids outside the vocabulary.

    begins: the first of them begins a message, so that a space which the tokenizer puts there is left out.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    found: list[Piece] = []
    for token in tokens:
        data = backend.token_bytes(token)
        name = None if data else control_name(backend, token)
        if name is not None:
            found.append(Piece(name, b"", True))
            continue
        if begins and data:
            begins = False
            if data.startswith(b" ") and not backend.detokenize([token]).startswith(" "):
                data = data[1:]
        found.append(Piece(decoder.decode(data), data))
    if found and (rest := decoder.decode(b"", final=True)):
        found[-1] = found[-1]._replace(text=found[-1].text + rest)
    return found


def unseen_bytes(found: Sequence[Piece], first: int = 0) -> dict[str, str]:
    """By the number of the token: the bytes, in hexadecimal, of those that add no text of their own. first: number of
    the first of them."""
    return {
        str(place): piece.data.hex(" ") for place, piece in enumerate(found, first) if piece.data and not piece.text
    }


def alternative(backend: Backend, before: Sequence[int], token: int) -> dict[str, Any]:
    """A token as it would read after these: `id`, `text`, and `bytes` or `control` where it is no text by itself."""
    data = backend.token_bytes(token)
    name = None if data else control_name(backend, token)
    if name is not None:
        return {"id": token, "text": name, "control": True}
    started = _unfinished(b"".join(backend.token_bytes(each) for each in before[-4:]))
    text = (started + data).decode("utf-8", "replace")
    view: dict[str, Any] = {"id": token, "text": text}
    if text.encode("utf-8", "replace") != data:
        view["bytes"] = data.hex(" ")
    return view


def control_name(backend: Backend, token: int) -> str | None:
    """What a control token is called, where the backend tells."""
    name = getattr(backend, "token_name", None)
    return name(token) if name else None


def _unfinished(data: bytes) -> bytes:
    """The beginning of a character that the bytes end in."""
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    decoder.decode(data)
    return decoder.getstate()[0]
