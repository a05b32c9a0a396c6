"""`fireside key`: who else may use the API."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.options import debug_option, home_option, user_option
from app.home import data_folder


@click.group()
def key() -> None:
    """Make, list and revoke keys of the API, also while Fireside runs."""


@key.command()
@click.argument("name")
@click.option("--keep", is_flag=True, help="Keep the chats that it asks for, among those of the page.")
@user_option
@home_option
@debug_option
def add(name: str, keep: bool, user: str | None, home: Path | None) -> None:
    """Make the key NAME and print it, this once."""
    _run(home, "key add", name=name, user=user, keep=keep)


@key.command("list")
@home_option
@debug_option
def list_keys(home: Path | None) -> None:
    """Show names, beginnings and dates of all keys."""
    _run(home, "key list")


@key.command()
@click.argument("name")
@user_option
@home_option
@debug_option
def rm(name: str, user: str | None, home: Path | None) -> None:
    """Revoke the key NAME for good."""
    _run(home, "key rm", name=name, user=user)


def _run(home: Path | None, command: str, **values: object) -> None:
    from app.accounts.control import run

    for line in run(data_folder(home), command, **values):
        click.echo(line)
