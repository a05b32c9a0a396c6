"""`fireside key`: who else may use the API."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.options import debug_option, home_option
from app.home import data_folder


@click.group()
def key() -> None:
    """Make, list and revoke keys of the API, while Fireside is not running."""


@key.command()
@click.argument("name")
@home_option
@debug_option
def add(name: str, home: Path | None) -> None:
    """Make the key NAME and print it, this once."""
    from app.store import Store

    with Store.open(data_folder(home)) as store:
        click.echo(store.keys.add(name))


@key.command("list")
@home_option
@debug_option
def list_keys(home: Path | None) -> None:
    """Show names, beginnings and dates of all keys."""
    from app.store import Store

    with Store.open(data_folder(home)) as store:
        for each in store.keys.list():
            ended = f", revoked {each.revoked_at}" if each.revoked_at else ""
            click.echo(f"{each.name}: {each.start}…, made {each.created_at}{ended}")


@key.command()
@click.argument("name")
@home_option
@debug_option
def rm(name: str, home: Path | None) -> None:
    """Revoke the key NAME for good."""
    from app.store import Store

    with Store.open(data_folder(home)) as store:
        store.keys.revoke(name)
