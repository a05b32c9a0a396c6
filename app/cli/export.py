"""`fireside export`: conversations as files for people and for other programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from app.cli.options import debug_option, home_option, user_option
from app.errors import AppError
from app.home import data_folder


class ExportFailed(AppError):
    """There is nothing to export, or the file cannot be written."""


class _FormatName(click.ParamType):
    """One of the formats, which are loaded only when one is asked for: `fireside --help` is quick without."""

    name = "format"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return f"[{'|'.join(self._names())}]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self._names():
            self.fail(f"{value!r:.40} is none of {', '.join(self._names())}", param, ctx)
        return value

    def _names(self) -> list[str]:
        from app.transfer.formats import FORMATS

        return list(FORMATS)


@click.command()
@click.argument("conversations", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every conversation, archived ones too.")
@click.option("--search", metavar="TEXT", help="The conversations that a search for TEXT finds.")
@click.option(
    "--format",
    "kind",
    type=_FormatName(),
    default="md",
    show_default=True,
    help="md: Markdown. html: a page to read offline and print. txt: plain text. json: everything, all branches. "
    "llama.cpp, open-webui: for their web pages. openai, sharegpt: for training. preferences: pairs of an "
    "answer that was picked among those compared, or is shown, and one that was given up for it.",
)
@click.option("--all-branches", is_flag=True, help="For openai and sharegpt: every branch, not only the one shown.")
@click.option("--zip", "zipped", is_flag=True, help="A zip with a file for each conversation.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    default="-",
    help="File to write; standard output without it.",
)
@user_option
@home_option
@debug_option
def export(
    conversations: tuple[str, ...],
    everything: bool,
    search: str | None,
    kind: str,
    all_branches: bool,
    zipped: bool,
    output: Path,
    user: str | None,
    home: Path | None,
) -> None:
    """Write the conversations with these IDs, those a search finds, or all of them."""
    if sum((bool(conversations), everything, search is not None)) != 1:
        raise click.UsageError("name conversations by their IDs, or give --all or --search")
    from app.store import Store
    from app.transfer.exporting import export as export_chats
    from app.transfer.formats import FORMATS

    folder = data_folder(home)
    if not folder.exists():
        raise ExportFailed(f"there are no conversations: the data folder {folder} does not exist")
    with Store.open(folder) as whole:
        store = whole.of_user(user)
        ids = conversations or store.conversations.ids(search or "")
        if not ids:
            raise ExportFailed(f"there are no conversations{f' with {search!r:.60}' if search else ''} in {folder}")
        file = export_chats(store, ids, FORMATS[kind], all_branches=all_branches, zipped=zipped)
        if str(output) == "-":
            if file.name.endswith(".zip") and sys.stdout.isatty():
                raise click.UsageError("a zip is nothing for a terminal: give it a file with -o FILE")
            sys.stdout.buffer.writelines(file.pieces)
            return
        try:
            _replace(output, file.pieces)
        except OSError as error:
            raise ExportFailed(f"cannot write {output} ({error.strerror or error}): choose another file") from error
    click.echo(f"{len(ids)} conversation{'s' if len(ids) > 1 else ''} written to {output}", err=True)


def _replace(path: Path, pieces: Iterable[bytes]) -> None:
    """Write the file; what had its name stays until the last piece is written."""
    if path.exists() and not path.is_file():
        # A pipe or a device cannot be replaced.
        with path.open("wb") as out:
            out.writelines(pieces)
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("xb") as out:
            out.writelines(pieces)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
