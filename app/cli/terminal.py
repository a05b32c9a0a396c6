"""What the commands show while they work, on standard error."""

from __future__ import annotations

import sys
from pathlib import Path

import weights
from weights import CatalogEntry


def fetch_with_bar(entry: CatalogEntry, folder: Path) -> Path:
    """The model's file; fetched under a progress bar if it is not there yet. Raises WeightsError."""
    from tqdm import tqdm

    # disable=None: no bar where standard error is not a terminal.
    with tqdm(
        desc=entry.name, unit="B", unit_scale=True, file=sys.stderr, disable=None, leave=False, delay=0.1
    ) as bar:

        def show(done: int, total: int) -> None:
            if bar.total is None:
                print(f"Downloading {entry.title} ({weights.megabytes(total)})", file=sys.stderr)
            bar.total = total
            bar.update(done - bar.n)
            if done == total:
                bar.set_description(f"{entry.name}: checking")

        return weights.fetch(entry, folder, show)


def locate(name_or_path: str, models_dir: Path) -> Path:
    """The model's file or folder, fetched first if the catalog's is not there yet. Raises WeightsError."""
    found = weights.resolve(name_or_path)
    return fetch_with_bar(found, models_dir) if isinstance(found, CatalogEntry) else found
