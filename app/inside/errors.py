"""What cannot be looked into, said in one line with what is possible instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from app.backend import Backend
from app.chat_errors import ChatError
from app.store import Message

if TYPE_CHECKING:
    from engine import Engine


class NotPossible(ChatError):
    """This cannot be told of this answer, or with this model; the line says what can. Nothing was changed."""


def opened(backend: Backend) -> Engine:
    """The engine of this process, which can be looked into; raises NotPossible for any other."""
    if backend.info.remote or not hasattr(backend, "scoring"):
        raise NotPossible(
            f"{backend.info.name} is on another server, which tells no more than it sent with the answer: "
            "choose a model of this computer to score, replay or look inside"
        )
    return cast("Engine", backend)


def same_model(message: Message, backend: Backend) -> Engine:
    """The loaded engine, if the tokens of the message are of its model; raises NotPossible."""
    engine = opened(backend)
    digest = tokens_digest(message)
    if not message.token_ids or digest is None:
        raise NotPossible("this text came without tokens: score it, and it has those of the loaded model")
    loaded = engine.info
    if digest == loaded.digest:
        return engine
    name = message.model or "another model"
    if server := server_of(message):
        raise NotPossible(f"{name} at {server} wrote this, which only that server could do again: score it instead")
    if name == loaded.name:
        raise NotPossible(
            f"the files of {name} are not those that wrote this (SHA-256 {digest[:12]}, now {loaded.digest[:12]}): "
            "bring the earlier ones back, or score the text with these"
        )
    raise NotPossible(
        f"this was written by {name} ({digest[:12]}), and {loaded.name} ({loaded.digest[:12]}) is loaded: "
        "load that model, or score the text with this one"
    )


def checked_index(index: int, count: int) -> None:
    """Raise NotPossible unless an answer of so many tokens has this one."""
    if not 0 <= index < count:
        raise NotPossible(f"there is no token {index:,}: this answer has {count:,}, counted from 0")


def server_of(message: Message) -> str | None:
    """The address of the server that wrote an answer, None for one of this computer."""
    device = str(message.engine.get("device") or "")
    return device if device.startswith(("http://", "https://")) else None


def tokens_digest(message: Message) -> str | None:
    """Of the model to which the tokens of a message belong; None where it has none."""
    scored = message.extra.get(SCORED)
    if isinstance(scored, dict):
        return str(scored.get("digest"))
    return message.model_digest


# In `extra` of a message: when, and by which model, its tokens and their probabilities were found afterwards.
SCORED = "scored"
