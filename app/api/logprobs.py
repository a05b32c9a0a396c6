"""The probabilities of an answer's tokens, in the two forms of OpenAI's API."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from app.backend import Backend
from engine import Step

# What OpenAI's API writes for a probability of zero, whose logarithm JSON does not have.
IMPOSSIBLE = -9999.0


def chat_logprobs(backend: Backend, step: Step, alternatives: int) -> list[dict[str, Any]]:
    """The `content` of a chat completion's logprobs for a step; empty where its token is no text."""
    if step.token is None or not backend.token_bytes(step.token):
        return []
    top = [_entry(backend, token, logprob) for token, logprob in step.top[:alternatives]]
    return [_entry(backend, step.token, step.logprob) | {"top_logprobs": top}]


def completion_logprobs(backend: Backend, steps: Iterable[Step], offset: int, top: bool) -> dict[str, Any]:
    """The logprobs of a text completion. offset: of the first of these steps in the text; top: whether alternatives
    were asked for."""
    found: dict[str, Any] = {"tokens": [], "token_logprobs": [], "top_logprobs": [] if top else None, "text_offset": []}
    for step in steps:
        if step.token is None or not backend.token_bytes(step.token):
            continue
        text = _text(backend, step.token)
        found["tokens"].append(text)
        found["token_logprobs"].append(_finite(step.logprob))
        found["text_offset"].append(offset)
        if top:
            found["top_logprobs"].append({_text(backend, token): _finite(logprob) for token, logprob in step.top})
        offset += len(text)
    return found


def _entry(backend: Backend, token: int, logprob: float) -> dict[str, Any]:
    data = backend.token_bytes(token)
    # llama.cpp's server tells the id, too: Fireside with this one as its engine keeps tokens by it.
    return {"id": token, "token": data.decode("utf-8", "replace"), "bytes": list(data), "logprob": _finite(logprob)}


def _text(backend: Backend, token: int) -> str:
    """Like OpenAI's: bytes that are no text by themselves are written out."""
    data = backend.token_bytes(token)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


def _finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else IMPOSSIBLE
