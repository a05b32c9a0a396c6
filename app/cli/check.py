"""`fireside check`: whether the conversations and their backups are sound."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.options import debug_option, home_option
from app.home import data_folder


@click.command()
@home_option
@debug_option
def check(home: Path | None) -> int:
    """Check the database and its backups in full; nothing is changed, and a running Fireside need not be stopped."""
    from app.store import StoreError
    from app.store.backup import Backups
    from app.store.check import count_messages, examine
    from app.store.store import DATABASE

    database = data_folder(home) / DATABASE
    if not database.exists():
        click.echo(f"there is no database in {database.parent} yet")
        return 0
    problems = 0
    for path in (database, *Backups(database).list()):
        try:
            examine(path, thorough=True)
        except StoreError as error:
            problems += 1
            click.echo(f"problem  {error}")
        else:
            click.echo(f"ok       {path}, messages: {count_messages(path):,}")
    return 1 if problems else 0
