"""`fireside import`: conversations from files that other programs have written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.options import debug_option, home_option, user_option
from app.errors import AppError
from app.home import data_folder

if TYPE_CHECKING:
    from app.store import HomeLocked, Store

MAX_LINES = 20


class NotAllImported(AppError):
    """Some of the files were refused."""


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--verbose", is_flag=True, help="Every conversation, not only those with something to tell.")
@user_option
@home_option
@debug_option
def import_chats(files: tuple[Path, ...], verbose: bool, user: str | None, home: Path | None) -> None:
    """Add the conversations of other programs' exports, or of Fireside's own.

    What a file is, is told by its content. A file is imported whole or not at all, and importing it again changes
    nothing. While Fireside runs, it imports them, and its page shows them at once.
    """
    from app.accounts.control import ControlFailed
    from app.store import Store
    from app.store.errors import HomeLocked
    from app.transfer.source import ImportRefused

    folder = data_folder(home)
    with ExitStack() as opened:
        try:
            store = opened.enter_context(Store.open(folder)).of_user(user)
        except HomeLocked as locked:
            add = partial(_add_there, folder, locked, user)
        else:
            add = partial(_add_here, store)
        refused = []
        for path in files:
            try:
                with _Bar(path.name) as bar:
                    report = add(path, bar)
            except (ImportRefused, ControlFailed) as error:
                refused.append(str(error))
            else:
                _tell(report, verbose)
    if refused:
        raise NotAllImported("; ".join(refused))


def _add_here(store: Store, path: Path, bar: _Bar) -> Mapping[str, Any]:
    from app.transfer.importing import import_file

    return import_file(store, path, bar.show).view


def _add_there(folder: Path, locked: HomeLocked, user: str | None, path: Path, bar: _Bar) -> Mapping[str, Any]:
    """By the server that works in the folder."""
    from app.accounts.control import import_there

    told: dict[str, Any] = {}
    for told in import_there(folder, locked, path, user):
        if "phase" in told:
            bar.show(told["phase"], told["done"], told["total"])
    return told["report"]


class _Bar:
    """How far an import is, on a terminal."""

    def __init__(self, name: str) -> None:
        self._name = name[:40]
        self._phase = ""
        self._bar: Any = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, phase: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if phase != self._phase:
            self.__exit__()
            unit: dict[str, Any] = {"unit": "B", "unit_scale": True} if phase == "reading" else {"unit": " chats"}
            self._bar = tqdm(total=total, desc=f"{self._name}: {phase}", leave=False, disable=None, **unit)
            self._phase = phase
        self._bar.total = total
        self._bar.update(done - self._bar.n)


def _tell(report: Mapping[str, Any], verbose: bool) -> None:
    click.echo(report["summary"])
    lines = [line for line in report["lines"] if verbose or line["what"] == "skipped" or line["notes"]]
    for line in lines if verbose else lines[:MAX_LINES]:
        notes = f" ({'; '.join(line['notes'])})" if line["notes"] else ""
        click.echo(f"  {line['what']}: {line['title'] or 'without a title':.80}{notes}")
    if not verbose and len(lines) > MAX_LINES:
        click.echo(f"  and {len(lines) - MAX_LINES:,} more: --verbose shows them")
