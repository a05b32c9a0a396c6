"""`fireside ask`: one answer to standard output."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from app.cli.options import context_option, debug_option, home_option, model_option, models_option
from app.cli.terminal import locate
from app.home import data_folder, models_folder
from engine.errors import EngineError, InvalidSampling

if TYPE_CHECKING:
    from engine import Engine, Run, Sampling


@click.command()
@click.argument("prompt")
@model_option
@context_option
@click.option(
    "--preset",
    default="Balanced",
    show_default=True,
    metavar="NAME",
    help="Settings to start from: Balanced, Creative, Precise, or one of your own.",
)
@click.option("--temperature", type=float, help="0 always takes the likeliest token; up to 2.")
@click.option("--top-k", type=int, help="Choose among the k likeliest tokens; 0 for all.")
@click.option("--top-p", type=float, help="Choose among the tokens that make up this probability.")
@click.option("--min-p", type=float, help="Drop tokens below this share of the likeliest one's probability.")
@click.option("--repetition-penalty", type=float, help="Above 1: repeat less.")
@click.option("--seed", type=int, help="The same seed and settings give the same answer.")
@click.option("--max-tokens", type=int, help="Longest answer, in tokens.")
@click.option("--system", default="", metavar="TEXT", help="Instructions for the model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the text.")
@home_option
@models_option
@debug_option
def ask(
    prompt: str,
    model: str,
    context: int | None,
    preset: str,
    system: str,
    as_json: bool,
    home: Path | None,
    models_dir: Path | None,
    **settings: float | None,
) -> None:
    """Answer PROMPT; '-' reads it from standard input."""
    changes = {name: value for name, value in settings.items() if value is not None}
    sampling = _preset(preset, home).replace(**changes)
    messages = [{"role": "user", "content": _text(prompt)}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    path = locate(model, models_folder(models_dir))

    from engine import Engine

    with Engine.load(path, context=context) as engine:
        run = engine.chat(messages, sampling)
        try:
            text, finish_reason = _stream(run, None if as_json else sys.stdout)
        finally:
            run.cancel()
        if as_json:
            click.echo(json.dumps(_record(engine, run, sampling, text, finish_reason), ensure_ascii=False))


def _preset(name: str, home: Path | None) -> Sampling:
    from app.store.presets import BUILTIN
    from engine import Sampling

    for builtin, sampling in BUILTIN.values():
        if builtin.casefold() == name.casefold():
            return sampling
    from app.store import Store

    with Store.open(data_folder(home)) as store:
        presets = store.presets.list()
    for preset in presets:
        if preset.name.casefold() == name.casefold():
            return Sampling.from_dict(preset.settings)
    raise InvalidSampling(f"no preset is named {name!r:.80}: there are {', '.join(preset.name for preset in presets)}")


def _text(prompt: str) -> str:
    from app.chats import MAX_CHARACTERS, EmptyMessage, MessageTooLong

    if prompt == "-":
        # At most four bytes a character: enough to see that it is too long, whatever the other end sends.
        prompt = sys.stdin.buffer.read(4 * (MAX_CHARACTERS + 1)).decode(errors="replace")
    if not prompt.strip():
        raise click.UsageError(str(EmptyMessage()))
    if len(prompt) > MAX_CHARACTERS:
        raise click.UsageError(str(MessageTooLong(len(prompt))))
    return prompt


def _stream(run: Run, out: TextIO | None) -> tuple[str, str]:
    """Write the answer as it comes; returns the text and why it ended. Ctrl-C keeps what was said whole."""
    text: list[str] = []
    finish_reason = ""
    try:
        for step in run:
            text.append(step.text)
            finish_reason = step.finish_reason or finish_reason
            if out:
                out.write(step.text)
                out.flush()
    except (KeyboardInterrupt, EngineError):
        if out:
            out.write("\n")
        raise
    if out:
        out.write("\n")
    return "".join(text), finish_reason


def _record(engine: Engine, run: Run, sampling: Sampling, text: str, finish_reason: str) -> dict[str, Any]:
    return {
        "text": text,
        "finish_reason": finish_reason,
        "model": engine.info.name,
        "model_digest": engine.info.digest,
        "settings": sampling.replace(seed=run.stats.seed).to_dict(),
        "stats": {**asdict(run.stats), "tokens_per_second": run.stats.tokens_per_second},
    }
