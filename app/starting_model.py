"""Which model a server begins with: the one that was asked for, else the one chosen last, else the default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import weights
from app.store import Store
from weights import DEFAULT, WeightsError


@dataclass(frozen=True, slots=True)
class StartingModel:
    """name: as the models folder or the hub has it, or a path. path: where it lies, if it is there already.

    given: that path, where it lies outside the models folder.
    """

    name: str
    path: Path | None = None
    given: Path | None = None


def starting_model(asked: str | None, store: Store, folder: Path) -> StartingModel:
    """The model to begin with. asked: on the command line; raises UnknownModel if there is none of that name.

    One that was chosen on the page and is not on disk any more is told in the store's notices, and not fetched again.
    """
    chosen = str(store.preferences.get("model"))
    if asked is None and not chosen:
        return StartingModel(DEFAULT.name)
    try:
        there = {model.name: model.path for model in weights.installed(folder) if not model.problem}
    except WeightsError:
        there = {}
    name = asked or chosen
    if name in there:
        return StartingModel(name, there[name])
    if asked is None:
        store.notices.append(
            f"the model chosen last, {chosen}, is not on disk any more: {DEFAULT.name} answers instead"
        )
        return StartingModel(DEFAULT.name)
    source = weights.resolve(asked, folder)
    if not isinstance(source, Path):
        return StartingModel(asked)
    for known, path in there.items():
        if path.resolve() == source:
            return StartingModel(known, path)
    return StartingModel(str(source), source, given=source)
