"""What an engine elsewhere is: its models, their context, and which kind of server it is."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath
from typing import Any

from app.remote.connection import Connection
from app.remote.errors import NotThere, Rejected, RemoteError, ServerFailed
from app.remote.profiles import PROFILES, Kind, Profile
from engine import EngineInfo
from engine.info import installed_version
from engine.reasoning import TAGS, ThinkTags, think_tags

# Where a server does not tell it: every model of today has as much.
UNTOLD_CONTEXT = 4096
MAX_MODELS = 10_000
OWNERS: dict[str, Kind] = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llamacpp", "fireside": "fireside"}


@dataclass(frozen=True, slots=True)
class Discovery:
    """model: its id, as the server is asked for it. models: the ids of all that it lists. tags: what sets its thoughts
    apart where the server does not."""

    model: str
    models: tuple[str, ...]
    profile: Profile
    tags: ThinkTags
    info: EngineInfo


def discover(connection: Connection, model: str | None, context: int | None) -> Discovery:
    """Ask the server. model: None takes the first it lists. context: at most so many tokens; all where it tells none.

    Raises RemoteError; NotThere for a model that it does not list, Starting while it loads its model.
    """
    path = connection.address.base.removeprefix(connection.address.root)
    reply = connection.get(f"{path}/models")
    listed = reply.get("data") if isinstance(reply, dict) else None
    cards = [card for card in (listed if isinstance(listed, list) else ())[:MAX_MODELS] if _named(card)]
    if not cards:
        # While they load their model, some say so there, and only there.
        _optional(connection, "/health")
        raise ServerFailed(f"the engine at {connection.address.base} lists no model")
    chosen = next((card for card in cards if model in (None, card["id"], _name(card["id"]))), None)
    if chosen is None:
        names = ", ".join(str(card["id"])[:60] for card in cards[:5])
        raise NotThere(f"the engine at {connection.address.base} does not have {model!r:.60}: it has {names}")
    props: dict[str, Any] = {}
    kind = OWNERS.get(str(chosen.get("owned_by")).lower())
    if kind in (None, "llamacpp"):
        props = _optional(connection, "/props")
        if "default_generation_settings" in props:
            kind = "llamacpp"
    if kind is None and "version" in _optional(connection, "/version"):
        kind = "vllm"
    profile = PROFILES[kind or "openai"]
    return Discovery(
        str(chosen["id"]),
        tuple(str(card["id"]) for card in cards),
        profile,
        think_tags(str(props.get("chat_template", ""))) or TAGS[0],
        _info(connection, chosen, props, profile, context),
    )


def _info(
    connection: Connection, card: dict[str, Any], props: dict[str, Any], profile: Profile, context: int | None
) -> EngineInfo:
    meta = card["meta"] if isinstance(card.get("meta"), dict) else {}
    settings = props.get("default_generation_settings")
    # What it serves, not what the model was made for (llama.cpp's n_ctx_train).
    told = (
        _positive(card.get("max_model_len"))
        or (_positive(settings.get("n_ctx")) if isinstance(settings, dict) else 0)
        or _positive(meta.get("n_ctx"))
    )
    ignored = profile.ignored()
    if not told:
        ignored += (f"the engine does not tell its context, {context or UNTOLD_CONTEXT:,} tokens are assumed",)
    base = connection.address.base
    return EngineInfo(
        name=_name(card["id"]),
        architecture=profile.title,
        parameters=_positive(meta.get("n_params")),
        quantization=str(meta.get("ftype") or "its own precision")[:40],
        context=min(told or context or UNTOLD_CONTEXT, context or told or UNTOLD_CONTEXT),
        vocabulary=_positive(meta.get("n_vocab")),
        device=base,
        dtype="not told",
        kernels=profile.title,
        # Its files are not seen: this tells that two answers come from the same model of the same server.
        digest=sha256(f"{base}\n{card['id']}".encode("utf-8", "replace")).hexdigest(),
        version=installed_version(),
        ignored=ignored,
        remote=base,
    )


def _optional(connection: Connection, path: str) -> dict[str, Any]:
    """A reply that not every server has."""
    try:
        reply = connection.get(path)
    except (NotThere, Rejected):
        return {}
    except RemoteError as error:
        if isinstance(error, ServerFailed):
            return {}
        raise
    return reply if isinstance(reply, dict) else {}


def _named(card: Any) -> bool:
    return isinstance(card, dict) and isinstance(card.get("id"), str) and 0 < len(card["id"]) <= 1000


def _name(id: str) -> str:
    """A model's id for people: llama.cpp's may be a path."""
    return PurePath(id).name if id.lower().endswith(".gguf") else id


def _positive(value: Any) -> int:
    """A sound number of tokens or parameters, or 0."""
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**50
    return value if whole else 0
