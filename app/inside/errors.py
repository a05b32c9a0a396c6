"""What cannot be looked into, said in one line with what is possible instead."""

from __future__ import annotations

from typing import cast

from app.backend import Backend
from app.chat_errors import ChatError
from app.store import Message
from engine import Engine


class NotPossible(ChatError):
    """This cannot be told of this answer, or with this model; the line says what can. Nothing was changed."""


def opened(backend: Backend) -> Engine:
    """The engine of this process, which can be looked into; raises NotPossible for any other."""
    if backend.info.remote or not hasattr(backend, "scoring"):
        raise NotPossible(
            f"the engine {backend.info.name} is elsewhere and tells only what it sent with the answer: to score, "
            "replay or look inside, start Fireside with a model of its own"
        )
    return cast(Engine, backend)


def same_model(message: Message, backend: Backend) -> Engine:
    """The loaded engine, if the tokens of the message are of its model; raises NotPossible."""
    engine = opened(backend)
    digest = tokens_digest(message)
    if not message.token_ids or digest is None:
        raise NotPossible("this text has no tokens of its own: it came without them; it can be scored instead")
    if digest != engine.info.digest:
        raise NotPossible(
            f"this was written by {message.model or 'another model'} ({digest[:12]}), and {engine.info.name} "
            f"({engine.info.digest[:12]}) is loaded: load that model, or score the text with this one"
        )
    return engine


def tokens_digest(message: Message) -> str | None:
    """Of the model to which the tokens of a message belong; None where it has none."""
    scored = message.extra.get(SCORED)
    if isinstance(scored, dict):
        return str(scored.get("digest"))
    return message.model_digest


# In `extra` of a message: when, and by which model, its tokens and their probabilities were found afterwards.
SCORED = "scored"
