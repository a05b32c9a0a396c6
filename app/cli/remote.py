"""What `--engine` means: which server, which of its models, with which key."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.remote import RemoteEngine, RemoteSource


def engine_elsewhere(url: str, model: str | None, context: int | None) -> RemoteSource:
    """The engine at an address, not connected yet; raises BadAddress. model: None for the first listed."""
    from app.remote import Address, RemoteEngine, RemoteSource

    address = Address.parse(url, _key())
    return RemoteSource(address, connect=partial(RemoteEngine.connect, address, model=model, context=context))


def connected(url: str, model: str | None, context: int | None) -> RemoteEngine:
    """The same, connected; raises RemoteError."""
    from app.remote import Address, RemoteEngine

    return RemoteEngine.connect(Address.parse(url, _key()), model=model, context=context)


def _key() -> str:
    """The key from the environment or the file it names, "" for none: command lines are seen by everyone."""
    if file := os.environ.get("FIRESIDE_ENGINE_KEY_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    return os.environ.get("FIRESIDE_ENGINE_KEY", "").strip()
