"""The model of a stored answer, loaded as its record says that it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import weights
from app.inside.errors import NotPossible, server_of, tokens_digest
from app.store import Message
from engine import Engine, EngineError
from engine.checkpoint import open_checkpoint
from engine.info import KERNELS

# The storage types that a quantisation of the engine's own is made of.
QUANTIZED = {"Q4_1": "int4", "Q8_0": "int8"}


def recorded_model(message: Message, folder: Path, given: Path | None = None) -> Engine:
    """Load what wrote an answer, from the models folder, with kernels, threads, context and bits as they were.

    given: the model to load in its place. Raises NotPossible where it is not there, and as `Engine.load` does.
    """
    path = given or _recorded_path(message, folder)
    return Engine.load(path, **_as_recorded(message.engine, path))


def _recorded_path(message: Message, folder: Path) -> Path:
    digest, name = tokens_digest(message), message.model or "another program"
    if server := server_of(message):
        raise NotPossible(
            f"{name} at {server} wrote this, which only that server could do again: score it on the page instead"
        )
    if not message.token_ids or digest is None:
        raise NotPossible("this text came without tokens, so it cannot be made again: score it on the page instead")
    changed = ""
    for model in weights.installed(folder):
        if model.problem:
            continue
        try:
            checkpoint = open_checkpoint(model.path)
            if checkpoint.name != message.model:
                continue
            if checkpoint.digest() == digest:
                return model.path
            changed = f"; {model.name} has its name, but other files"
        except (EngineError, OSError):
            continue
    raise NotPossible(
        f"{name} (SHA-256 {digest[:12]}) wrote this and is not in {folder}{changed}: bring it back, or say where it is "
        "with --model PATH"
    )


def _as_recorded(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Arguments for `Engine.load`; what the record does not tell, or is not possible here, is left to it."""
    arguments: dict[str, Any] = {"deterministic": record.get("deterministic") is True}
    if record.get("kernels") in KERNELS:
        arguments["kernels"] = record["kernels"]
    for name in ("threads", "context"):
        if isinstance(record.get(name), int) and record[name] > 0:
            arguments[name] = record[name]
    checkpoint = open_checkpoint(path)
    if "context" in arguments:
        arguments["context"] = min(arguments["context"], checkpoint.config.context_length)
    if checkpoint.quantization not in QUANTIZED and record.get("quantization") in QUANTIZED:
        arguments["quantize"] = QUANTIZED[record["quantization"]]
    return arguments
