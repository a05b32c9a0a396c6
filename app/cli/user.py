"""`fireside user`: who has an account."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from app.cli.options import debug_option, home_option
from app.home import data_folder

password_option = click.option(
    "--password-file",
    type=click.File("r", encoding="utf-8"),
    help="File whose first line is the password, - for standard input; without it, it is asked for.",
)


@click.group()
def user() -> None:
    """Accounts: with the first, the page asks for a name and a password. Also while Fireside runs."""


@user.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="May manage models and the engine; the first user may in any case.")
@password_option
@home_option
@debug_option
def add(name: str, admin: bool, password_file: Iterable[str] | None, home: Path | None) -> None:
    """Give NAME an account. The first takes over the chats that are there."""
    _run(home, "user add", name=name, password=_password(password_file), admin=admin)


@user.command("list")
@home_option
@debug_option
def list_users(home: Path | None) -> None:
    """Show everybody who has an account."""
    _run(home, "user list")


@user.command()
@click.argument("name")
@password_option
@home_option
@debug_option
def password(name: str, password_file: Iterable[str] | None, home: Path | None) -> None:
    """Give NAME another password, and log NAME out everywhere."""
    _run(home, "user password", name=name, password=_password(password_file))


@user.command()
@click.argument("name")
@click.option("--chats-to", "heir", metavar="USER", help="Who gets what NAME has.")
@click.option("--erase-chats", "erase", is_flag=True, help="Erase what NAME has, for good.")
@home_option
@debug_option
def rm(name: str, heir: str | None, erase: bool, home: Path | None) -> None:
    """Take NAME's account away, and log NAME out everywhere."""
    if heir and erase:
        raise click.UsageError("--chats-to and --erase-chats exclude each other")
    _run(home, "user rm", name=name, heir=heir, erase=erase)


def _run(home: Path | None, command: str, **values: object) -> None:
    from app.accounts.control import run

    for line in run(data_folder(home), command, **values):
        click.echo(line)


def _password(file: Iterable[str] | None) -> str:
    if file is not None:
        return next(iter(file), "").rstrip("\r\n")
    return click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
