"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import click

from weights import DEFAULT

DEBUG = "app.cli.debug"
F = TypeVar("F", bound=Callable[..., Any])


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
user_option = click.option(
    "--user",
    metavar="NAME",
    help="Whose, where there are accounts.",
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
serve_model_option = click.option(
    "--model",
    default=None,
    metavar="NAME|PATH",
    help="A name of 'fireside models', hf:OWNER/NAME, a .gguf file, or a folder with a model. Without it, the one "
    f"chosen last on the page, at first {DEFAULT.name}.",
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
engine_option = click.option(
    "--engine",
    metavar="URL",
    help="Have another server answer that speaks OpenAI's API, such as http://host:8000/v1; --model then names one of "
    "its models. Its key is read from FIRESIDE_ENGINE_KEY, or from the file FIRESIDE_ENGINE_KEY_FILE names.",
)
deterministic_option = click.option(
    "--deterministic",
    is_flag=True,
    help="Have every answer depend on nothing but its question, settings and seed, so that `fireside replay` makes it "
    "again to the letter. Native kernels compute so in any case, and are waited for; torch is slower then.",
)
kernels_option = click.option(
    "--kernels",
    type=click.Choice(("auto", "native", "torch")),
    default="auto",
    show_default=True,
    help="What computes: compiled code for quantised weights where that can be, or torch always.",
)


class _Size(click.ParamType):
    """A number of bytes, such as 2GB; 0 for `off`."""

    name = "size"
    _units = MappingProxyType({"MB": 10**6, "GB": 10**9, "TB": 10**12})

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if value.lower() == "off":
            return 0
        parts = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([MGT]B)", value.upper(), re.ASCII)
        if not parts:
            self.fail(f"{value!r:.40} is no size: write it as 500MB or 2GB, or off", param, ctx)
        return int(float(parts[1]) * self._units[parts[2]])


kv_option = click.option(
    "--kv-on-disk",
    "kv_bytes",
    type=_Size(),
    default="2GB",
    show_default=True,
    metavar="SIZE|off",
    help="Room for what was computed of conversations, so that long ones go on at once after a restart.",
)


_SETTINGS = (
    click.option("--temperature", type=float, help="0 always takes the likeliest token; up to 2."),
    click.option("--top-k", type=int, help="Choose among the k likeliest tokens; 0 for all."),
    click.option("--top-p", type=float, help="Choose among the tokens that make up this probability."),
    click.option("--min-p", type=float, help="Drop tokens below this share of the likeliest one's probability."),
    click.option("--repetition-penalty", type=float, help="Above 1: repeat less."),
    click.option("--seed", type=int, help="The same seed and settings give the same answer."),
    click.option("--max-tokens", type=int, help="Longest answer, in tokens."),
)


def settings_options(command: F) -> F:
    """Options for the settings of an answer, by the names of `engine.Sampling`; None where not given."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


def wants_debug(context: click.Context | None) -> bool:
    """Whether --debug was given, before or after the command's name."""
    return context is not None and bool(context.meta.get(DEBUG))
