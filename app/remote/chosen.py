"""The engine elsewhere that was chosen on the page: kept beside the database, so that no backup has its key."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from app.remote.address import Address
from app.remote.errors import BadAddress

FILE = "engine.json"


@dataclass(frozen=True, slots=True)
class ChosenEngine:
    """model: by the id that the server lists, None for its first. context: as in `RemoteEngine.connect`."""

    address: Address
    model: str | None = None
    context: int | None = None


def chosen_engine(home: Path) -> ChosenEngine | None:
    """None where none was chosen, or what is there is not sound."""
    try:
        told = json.loads((home / FILE).read_text(encoding="utf-8"))
        model, context = told["model"], told["context"]
        if not (isinstance(model, str | None) and isinstance(context, int | None)):
            return None
        return ChosenEngine(Address.parse(told["address"], told["key"]), model, context)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadAddress):
        return None


def keep_chosen_engine(home: Path, chosen: ChosenEngine | None) -> None:
    """Choose it from now on; None: this computer's. Raises OSError. Only the folder's owner can read the file."""
    file, new = home / FILE, home / f"{FILE}.new"
    if chosen is None:
        file.unlink(missing_ok=True)
        return
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        told = {"address": chosen.address.base, "key": chosen.address.key}
        json.dump(told | {"model": chosen.model, "context": chosen.context}, out)
    new.replace(file)
