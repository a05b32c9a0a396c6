"""The command's entry: what it is called with, how it ends, and how an error looks."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import click

from app.cli.ask import ask
from app.cli.backup import backup, restore
from app.cli.bench import bench
from app.cli.chat import chat
from app.cli.check import check
from app.cli.doctor import doctor
from app.cli.export import export
from app.cli.import_chats import import_chats
from app.cli.key import key
from app.cli.models import models
from app.cli.options import debug_option, wants_debug
from app.cli.pull import pull, rm
from app.cli.replay import replay
from app.cli.serve import serve
from app.cli.user import user
from app.errors import AppError
from engine.errors import EngineError, InvalidSampling
from weights import UnknownModel, WeightsError

DONE = 0
FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 128 + signal.SIGINT


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fireside", prog_name="fireside")
@debug_option
@click.pass_context
def fireside(context: click.Context) -> None:
    """A private chat with a language model that runs on your own computer.

    Without a command: starts the server and opens the browser.
    """
    if context.invoked_subcommand is None:
        context.invoke(serve)


COMMANDS = (
    serve,
    chat,
    ask,
    replay,
    models,
    pull,
    rm,
    export,
    import_chats,
    key,
    user,
    backup,
    restore,
    check,
    doctor,
    bench,
)
for command in COMMANDS:
    fireside.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; a failure is one line on standard error.

    0 done, 1 the work failed, 2 wrong usage, 130 interrupted by Ctrl-C, 143 by SIGTERM.
    """
    signal.signal(signal.SIGTERM, _end)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character shows a question mark, and the answer goes on.
        sys.stdout.reconfigure(errors="replace")
    context: click.Context | None = None
    try:
        with fireside.make_context("fireside", list(sys.argv[1:] if arguments is None else arguments)) as context:
            result = fireside.invoke(context)
        sys.stdout.flush()
        return result if isinstance(result, int) else DONE
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has had enough (`fireside ask ... | head -1`); nothing must be written again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if wants_debug(context):
            traceback.print_exc()
        print(f"fireside: {_one_line(error)}", file=sys.stderr)
        return WRONG_USAGE if isinstance(error, (click.UsageError, InvalidSampling, UnknownModel)) else FAILED


def _one_line(error: Exception) -> str:
    match error:
        case click.UsageError(ctx=click.Context() as context):
            text = f"{error.format_message().rstrip('.')} (see '{context.command_path} --help')"
        case click.ClickException():
            text = error.format_message()
        case AppError() | EngineError() | WeightsError():
            text = str(error)
        case OSError(filename=str() as file, strerror=str() as reason):
            text = f"{file}: {reason} (--debug shows where)"
        case _:
            text = f"unexpected {type(error).__name__}: {error} (--debug shows where)"
    return " ".join(text.split())


def _end(number: int, frame: FrameType | None) -> None:
    # An exception, so that a download's child process is stopped and its files are removed on the way out.
    sys.exit(128 + number)
