"""`fireside chat`: a conversation in the terminal, kept with all others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import weights
from app.cli.options import (
    context_option,
    debug_option,
    engine_option,
    home_option,
    kernels_option,
    models_option,
    quantize_option,
    serve_model_option,
    settings_options,
    threads_option,
    user_option,
)
from app.cli.remote import engine_elsewhere
from app.cli.terminal import follow
from app.home import data_folder, models_folder

if TYPE_CHECKING:
    from app.talk import Talk

# Seconds for the answer under way as the command ends.
SAVE_SECONDS = 3.0
MAX_RECALLED = 200


@click.command()
@serve_model_option
@context_option
@threads_option
@kernels_option
@quantize_option
@engine_option
@settings_options
@click.option("--system", default="", metavar="TEXT", help="What the model is told before the first message.")
@click.option("--continue", "-c", "go_on", is_flag=True, help="Go on with the latest chat.")
@user_option
@home_option
@models_option
@debug_option
def chat(
    model: str | None,
    context: int | None,
    threads: int | None,
    kernels: str,
    quantize: str | None,
    engine: str | None,
    system: str,
    go_on: bool,
    user: str | None,
    home: Path | None,
    models_dir: Path | None,
    **settings: float | None,
) -> int:
    """Talk with the model here in the terminal; /help shows what else can be said.

    Chats are kept with those of the page. While Fireside runs it answers, and shows them there, too.
    """
    from app.cli.dialogue import Dialogue
    from engine import Sampling

    chosen = {name: value for name, value in settings.items() if value is not None}
    Sampling.from_dict(chosen)
    folder = models_folder(models_dir)
    if engine is None and model is not None:
        weights.resolve(model, folder)
    load = {"context": context, "threads": threads, "kernels": kernels, "quantize": quantize}
    with _talk(data_folder(home), user, folder, model, engine, load) as talk:
        latest = next((each["id"] for each in talk.chats()), None) if go_on else None
        lines = _lines([each["content"] for each in talk.history(latest) if each["role"] == "user"] if latest else [])
        dialogue = Dialogue(
            talk,
            lines,
            out=sys.stdout,
            aside=sys.stderr,
            settings=chosen,
            system_prompt=system,
            conversation_id=latest,
        )
        dialogue.run()
    # A script wants to know; a person was told.
    return int(dialogue.failed and not sys.stdin.isatty())


@contextmanager
def _talk(
    home: Path, user: str | None, folder: Path, model: str | None, engine: str | None, load: dict[str, Any]
) -> Iterator[Talk]:
    """With the server that works in the data folder, or else with an engine of this command's own."""
    from app.accounts.control import running_server
    from app.store import HomeLocked, Store
    from app.talk import TalkHere
    from app.talk_control import TalkThere

    with ExitStack() as closing:
        try:
            store = closing.enter_context(Store.open(home))
        except HomeLocked:
            if (server := running_server(home)) is None:
                raise
            if given := [name for name, value in {"--model": model, "--engine": engine}.items() if value]:
                raise click.UsageError(
                    f"Fireside runs in {home} already and answers with what it has: leave out {' and '.join(given)}, "
                    "or give another --home"
                ) from None
            yield closing.enter_context(TalkThere(server, user))
            return
        from app.chats import Chats
        from app.models import Models
        from app.starting_model import starting_model
        from app.workspace import Workspaces
        from engine import Engine

        elsewhere = engine_elsewhere(engine, model, load["context"]) if engine else None
        start = starting_model(None if elsewhere else model, store, folder)
        models = Models(folder, start.name, loader=partial(Engine.load, **load))
        models.switch(elsewhere or models.files(start.name, start.path))
        closing.callback(models.close)
        chats = Chats(store, models)
        closing.callback(chats.close, SAVE_SECONDS)
        talk = TalkHere.of_user(store, Workspaces(store, chats), models, user)
        models.start()
        follow(models)
        yield talk


def _lines(said: list[str]) -> Callable[[str], str]:
    """Asks for a line: of a person with what was said before to be recalled by Up, else of what is piped in."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):

        def piped(prompt: str) -> str:
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            return line.rstrip("\n")

        return piped
    try:
        import readline
    except ImportError:  # Not every Python has it; lines are taken without it, too.
        return input
    for text in said[-MAX_RECALLED:]:
        readline.add_history(text.replace("\n", " "))
    return input
