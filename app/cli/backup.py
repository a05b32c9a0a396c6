"""`fireside backup` and `fireside restore`: copies of the database, and the way back."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.options import debug_option, home_option
from app.errors import AppError
from app.home import data_folder


class NothingToBackUp(AppError):
    """The data folder has no database."""

    def __init__(self, home: Path) -> None:
        super().__init__(f"there is no database in {home}: choose the data folder with --home")


class FileExists(AppError):
    """The backup's file is there already."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is there already: choose another file")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@home_option
@debug_option
def backup(file: Path | None, home: Path | None) -> None:
    """Copy the conversations to FILE and check the copy; without FILE, into the data folder's backups.

    A running Fireside need not be stopped.
    """
    from app.store.backup import Backups, copy_database
    from app.store.check import count_messages
    from app.store.store import DATABASE

    database = data_folder(home) / DATABASE
    if not database.exists():
        raise NothingToBackUp(database.parent)
    if file is None:
        file = Backups(database).make()
    elif file.exists():
        raise FileExists(file)
    else:
        copy_database(database, file)
    click.echo(f"{file}: checked, {count_messages(file):,} messages")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@home_option
@debug_option
def restore(file: Path, home: Path | None) -> None:
    """Put the backup FILE in the place of the present conversations, which are kept aside."""
    from app.store import Store

    count, kept = Store.restore(data_folder(home), file)
    click.echo(f"{count:,} messages restored from {file}")
    if kept:
        click.echo(f"what was there before is kept in {kept}")
