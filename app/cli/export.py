"""`fireside export`: conversations as text files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.cli.options import debug_option, home_option
from app.errors import AppError
from app.home import data_folder

SEPARATOR = "\n\n---\n\n"


class ExportFailed(AppError):
    """There is nothing to export, or the file cannot be written."""


@click.command()
@click.argument("conversation", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every conversation, one after the other.")
@click.option("--format", "kind", type=click.Choice(["md"]), default="md", show_default=True, help="md: Markdown.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    default="-",
    help="File to write; standard output without it.",
)
@home_option
@debug_option
def export(conversation: str | None, everything: bool, kind: str, output: Path, home: Path | None) -> None:
    """Write the conversation ID, or all of them, in a format that other programs read."""
    if (conversation is None) != everything:
        raise click.UsageError("name one conversation by its ID, or give --all")
    from app.store import Store
    from app.transfer import markdown

    folder = data_folder(home)
    if not folder.exists():
        raise ExportFailed(f"there are no conversations: the data folder {folder} does not exist")
    with Store.open(folder) as store:
        if conversation is None:
            chosen = store.conversations.list(limit=sys.maxsize)
        else:
            chosen = [store.conversations.get(conversation)]
        text = SEPARATOR.join(markdown.write(one, store.messages.path(one.id)).strip() for one in chosen) + "\n"
    if not chosen:
        raise ExportFailed(f"there are no conversations in {folder}")
    if str(output) == "-":
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExportFailed(f"cannot write {output} ({error.strerror or error}): choose another file") from error
    click.echo(f"{len(chosen)} conversation{'s' if len(chosen) > 1 else ''} written to {output}", err=True)
