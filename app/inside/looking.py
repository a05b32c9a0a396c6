"""Where the model looked to choose a token, and what each of its layers would have said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.backend import Backend
from app.inside.errors import checked_index, opened, same_model
from app.inside.pieces import alternative, pieces, unseen_bytes
from app.inside.tokens import Tokens
from app.store import Message
from app.store.tokens import unpack_ids

if TYPE_CHECKING:
    from torch import Tensor

# Likeliest tokens of each layer.
TOP = 5


def look_at_answer(tokens: Tokens, backend: Backend, message: Message, index: int) -> dict[str, Any]:
    """What chose token `index` of an answer; see docs/inside.md. Raises NotPossible, EngineError."""
    engine = same_model(message, backend)
    ids = unpack_ids(message.token_ids)
    checked_index(index, len(ids))
    prompt = tokens.recalled(message).ids or []
    return look(engine, [*prompt, *ids[:index]], ids[index])


def look(backend: Backend, ids: Sequence[int], chosen: int | None = None) -> dict[str, Any]:
    """What the model does after these tokens. chosen: the token that came then; by default the likeliest.

    Raises NotPossible for an engine elsewhere, EngineError for what is too long or does not fit into memory.
    """
    engine = opened(backend)
    seen = engine.look(ids)
    assert seen.attention is not None
    assert seen.layers is not None
    if chosen is None:
        chosen = int(seen.layers[-1].argmax())
    found = pieces(engine, ids)
    return {
        "position": seen.position,
        "ids": list(ids),
        "texts": [piece.text for piece in found],
        "bytes": unseen_bytes(found),
        "layers": seen.attention.shape[0],
        "heads": seen.attention.shape[1],
        "attention": [[[round(share, 4) for share in head] for head in layer] for layer in seen.attention.tolist()],
        "readouts": [_readout(engine, ids, number, row, chosen) for number, row in enumerate(seen.layers)],
        "chosen": alternative(engine, ids, chosen),
    }


def _readout(backend: Backend, before: Sequence[int], number: int, logits: Tensor, chosen: int) -> dict[str, Any]:
    """The likeliest tokens by what the stream holds after a layer, 0 for what goes into the first."""
    probabilities = logits.softmax(dim=-1)
    values, found = probabilities.topk(min(TOP, len(probabilities)))
    pairs = zip(found.tolist(), values.tolist(), strict=True)
    return {
        "layer": number,
        "top": [alternative(backend, before, token) | {"probability": value} for token, value in pairs],
        "chosen": float(probabilities[chosen]),
        "rank": 1 + int((logits > logits[chosen]).sum()),
    }
