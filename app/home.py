"""Where Fireside keeps things: the data folder and the models folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

CHECKOUT = Path(__file__).resolve().parent.parent


def data_folder(option: Path | None = None) -> Path:
    """The folder of the database: the option, else FIRESIDE_HOME, else the user's data directory."""
    return _chosen(option, "FIRESIDE_HOME") or _user_data() / "home"


def models_folder(option: Path | None = None) -> Path:
    """The folder of the models: the option, else FIRESIDE_MODELS, else `weights/models` in a checkout.

    An installed copy uses the user's data directory. Several data folders share one models folder.
    """
    if chosen := _chosen(option, "FIRESIDE_MODELS"):
        return chosen
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / "weights" / "models"
    return _user_data() / "models"


def _chosen(option: Path | None, variable: str) -> Path | None:
    chosen = option or os.environ.get(variable)
    return Path(chosen).expanduser().absolute() if chosen else None


def _user_data() -> Path:
    return platformdirs.user_data_path("fireside", appauthor=False)
