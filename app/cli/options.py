"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from weights import DEFAULT

DEBUG = "app.cli.debug"


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().meta[DEBUG] = True


debug_option = click.option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_remember,
    help="Show the traceback of an error.",
)
home_option = click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Data folder, with the conversations (FIRESIDE_HOME).",
)
models_option = click.option(
    "--models",
    "models_dir",
    type=click.Path(path_type=Path),
    help="Folder of the downloaded models (FIRESIDE_MODELS).",
)
model_option = click.option(
    "--model",
    default=DEFAULT.name,
    show_default=True,
    metavar="NAME|PATH",
    help="A name of 'fireside models', hf:OWNER/NAME, a .gguf file, or a folder with a model.",
)
context_option = click.option(
    "--context",
    type=click.IntRange(min=1),
    metavar="TOKENS",
    help="Longest conversation, in tokens; less needs less memory. Without it, what suits the model, up to 8,192.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="COUNT",
    help="CPU threads that compute; without it, one a core.",
)
quantize_option = click.option(
    "--quantize",
    type=click.Choice(("int4", "int8")),
    help="Run a model whose files hold 16 or 32 bits a number in fewer: less memory, more speed, less exact.",
)
kernels_option = click.option(
    "--kernels",
    type=click.Choice(("auto", "native", "torch")),
    default="auto",
    show_default=True,
    help="What computes: compiled code for quantised weights where that can be, or torch always.",
)


def wants_debug(context: click.Context | None) -> bool:
    """Whether --debug was given, before or after the command's name."""
    return context is not None and bool(context.meta.get(DEBUG))
