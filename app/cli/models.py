"""`fireside models` and `fireside pull`: the catalog and what is on disk."""

from __future__ import annotations

from pathlib import Path

import click

import weights
from app.cli.options import debug_option, models_option
from app.cli.terminal import fetch_with_bar
from app.home import models_folder
from weights import CATALOG, CatalogEntry, DigestMismatch


@click.command()
@models_option
@debug_option
def models(models_dir: Path | None) -> None:
    """List the catalog, and the model files on disk."""
    folder = models_folder(models_dir)
    click.echo(f"Models folder: {folder}")
    for entry in CATALOG.values():
        click.echo(f"{entry.name}  {entry.title}, {entry.licence}, {entry.context:,} tokens of context")
        click.echo(f"    {_status(entry, folder)}")
    known = {entry.path_in(folder) for entry in CATALOG.values()}
    own = {path for pattern in ("*.gguf", "*/*.gguf") for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(own - known):
        click.echo(f"{path.stem}  your own file\n    {weights.megabytes(path.stat().st_size)}, {path}")


@click.command()
@click.argument("name")
@models_option
@debug_option
def pull(name: str, models_dir: Path | None) -> None:
    """Download the model NAME of the catalog, unless it is there."""
    click.echo(fetch_with_bar(weights.entry_named(name), models_folder(models_dir)))


def _status(entry: CatalogEntry, folder: Path) -> str:
    try:
        path = weights.find(entry, folder)
    except DigestMismatch as error:
        return f"damaged: {error}"
    return f"{entry.size}, {path}" if path else f"{entry.size}, not on disk: fireside pull {entry.name}"
