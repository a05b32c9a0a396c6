"""From what a person calls a model to the file or folder of it on this machine."""

from __future__ import annotations

import threading
from pathlib import Path

from weights.catalog import CatalogEntry
from weights.fetch import fetch
from weights.models_folder import Progress
from weights.pull import pull
from weights.reference import HubReference


def obtain(
    source: CatalogEntry | HubReference | Path,
    folder: Path,
    on_progress: Progress | None = None,
    *,
    cancel: threading.Event | None = None,
) -> Path:
    """The model's file or folder, fetched into the models folder first if it is not there; a path is itself.

    source: as `resolve` gives it. on_progress, cancel and errors: as of `fetch` and `pull`.
    """
    match source:
        case CatalogEntry():
            return fetch(source, folder, on_progress, cancel=cancel)
        case HubReference():
            return pull(source, folder, on_progress, cancel=cancel)
        case Path():
            return source
