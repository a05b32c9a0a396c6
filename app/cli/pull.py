"""`fireside pull` and `fireside rm`: models come, and go."""

from __future__ import annotations

from pathlib import Path

import click

import weights
from app.cli.options import debug_option, models_option
from app.cli.terminal import locate
from app.home import models_folder


@click.command()
@click.argument("name")
@models_option
@debug_option
def pull(name: str, models_dir: Path | None) -> None:
    """Download the model NAME, unless it is there.

    NAME is one of 'fireside models', or of the Hugging Face hub: hf:OWNER/NAME for a model in safetensors,
    hf:OWNER/NAME:FILE.gguf for one file, with @REVISION after the repository for a branch, a tag or a commit.
    A download that was broken off goes on where it stopped.
    """
    weights.source_named(name)
    click.echo(locate(name, models_folder(models_dir)))


@click.command()
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@models_option
@debug_option
def rm(name: str, yes: bool, models_dir: Path | None) -> int:
    """Remove the model NAME of 'fireside models' from the disk."""
    folder = models_folder(models_dir)
    model = weights.removable(name, folder)
    if not yes:
        what = "a link; what it points at stays" if model.owned[0].is_symlink() else weights.megabytes(model.bytes)
        try:
            yes = click.confirm(f"Remove {model.name} ({what}, {model.owned[0]})?", err=True)
        except click.Abort:  # nobody is there to answer
            click.echo(err=True)
    if not yes:
        click.echo("Nothing was removed; --yes does it without asking", err=True)
        return 1
    weights.remove(name, folder)
    click.echo(f"Removed {model.name} ({weights.megabytes(model.bytes)})", err=True)
    return 0
