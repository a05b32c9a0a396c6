"""`fireside ask`: one answer to standard output."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from app.cli.options import (
    context_option,
    debug_option,
    engine_option,
    home_option,
    kernels_option,
    models_option,
    quantize_option,
    settings_options,
    threads_option,
)
from app.cli.remote import connected
from app.cli.terminal import harmless, locate
from app.home import data_folder, models_folder
from engine.errors import InvalidSampling
from weights import DEFAULT

if TYPE_CHECKING:
    from app.backend import BackendRun
    from engine import EngineInfo, Sampling, Stats, Step


@dataclass(slots=True)
class Spoken:
    """What the model said so far, and how it ended."""

    reasoning: str = ""
    text: str = ""
    finish_reason: str = ""

    def add(self, step: Step) -> None:
        self.reasoning += step.reasoning
        self.text += step.text
        self.finish_reason = step.finish_reason or self.finish_reason


@click.command()
@click.argument("prompt")
@click.option(
    "--model",
    metavar="NAME|PATH",
    help="A name of 'fireside models', hf:OWNER/NAME, a .gguf file, or a folder with a model. Without it, "
    f"{DEFAULT.name}, or with --engine the first model that it lists.",
)
@engine_option
@context_option
@threads_option
@kernels_option
@quantize_option
@click.option(
    "--preset",
    metavar="NAME",
    help="Settings to start from: Balanced, Creative, Precise, or one of your own. Without it, what the authors of the "
    "model recommend, and Balanced where they say nothing.",
)
@settings_options
@click.option(
    "--think/--no-think", "thinking", default=None, help="For models that can reason or not, as they are told."
)
@click.option("--system", default="", metavar="TEXT", help="Instructions for the model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the text.")
@home_option
@models_option
@debug_option
def ask(
    prompt: str,
    model: str | None,
    engine: str | None,
    context: int | None,
    threads: int | None,
    kernels: str,
    quantize: str | None,
    preset: str | None,
    thinking: bool | None,
    system: str,
    as_json: bool,
    home: Path | None,
    models_dir: Path | None,
    **settings: float | None,
) -> None:
    """Answer PROMPT; '-' reads it from standard input."""
    from app.store.presets import BALANCED
    from engine import Sampling

    chosen = _preset(preset, home) if preset else {}
    chosen |= {name: value for name, value in settings.items() if value is not None}
    # What is wrong is told before the model is loaded.
    Sampling.from_dict(chosen)
    messages = [{"role": "user", "content": _text(prompt)}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    if engine and thinking is not None:
        raise click.UsageError("--think and --no-think are for a model of this computer: leave them out with --engine")
    load = {"context": context, "threads": threads, "kernels": kernels, "quantize": quantize}
    with closing(_backend(model, engine, models_dir, load)) as backend:
        sampling = Sampling.from_dict({**({} if preset else BALANCED.to_dict()), **backend.info.recommended, **chosen})
        run = backend.chat(messages, sampling, **({} if thinking is None else {"enable_thinking": thinking}))
        try:
            spoken = _stream(run, None if as_json else sys.stdout, sys.stderr)
        finally:
            run.cancel()
        if as_json:
            click.echo(json.dumps(_record(backend.info, run.stats, sampling, spoken), ensure_ascii=False))


def _backend(model: str | None, engine: str | None, models_dir: Path | None, load: dict[str, Any]) -> Any:
    """The model of this computer, loaded, or the engine elsewhere, connected."""
    if engine:
        return connected(engine, model, load["context"])
    path = locate(model or DEFAULT.name, models_folder(models_dir))

    from engine import Engine

    return Engine.load(path, **load)


def _preset(name: str, home: Path | None) -> dict[str, Any]:
    from app.store.presets import BUILTIN

    for builtin, sampling in BUILTIN.values():
        if builtin.casefold() == name.casefold():
            return sampling.to_dict()
    from app.store import Store

    with Store.open(data_folder(home)) as store:
        presets = store.presets.list()
    for preset in presets:
        if preset.name.casefold() == name.casefold():
            return dict(preset.settings)
    raise InvalidSampling(f"no preset is named {name!r:.80}: there are {', '.join(preset.name for preset in presets)}")


def _text(prompt: str) -> str:
    from app.chat_errors import MAX_CHARACTERS, EmptyMessage, MessageTooLong

    if prompt == "-":
        # At most four bytes a character: enough to see that it is too long, whatever the other end sends.
        prompt = sys.stdin.buffer.read(4 * (MAX_CHARACTERS + 1)).decode(errors="replace")
    if not prompt.strip():
        raise click.UsageError(str(EmptyMessage()))
    if len(prompt) > MAX_CHARACTERS:
        raise click.UsageError(str(MessageTooLong(len(prompt))))
    return prompt


def _stream(run: BackendRun, out: TextIO | None, aside: TextIO) -> Spoken:
    """Write the answer as it comes, and a reasoning model's thoughts aside. Ctrl-C keeps what was said whole."""
    spoken = Spoken()
    dim, plain = ("\x1b[2m", "\x1b[0m") if aside.isatty() else ("", "")
    # Only a terminal takes control characters for orders.
    shown, shown_aside = (harmless if stream and stream.isatty() else str for stream in (out, aside))
    try:
        for step in run:
            spoken.add(step)
            if out is None:
                continue
            if step.reasoning:
                aside.write(f"{dim}{shown_aside(step.reasoning)}{plain}")
                aside.flush()
            if step.text and spoken.reasoning and spoken.text == step.text:
                aside.write("\n\n")
            out.write(shown(step.text))
            out.flush()
    finally:
        if out:
            out.write("\n")
    return spoken


def _record(info: EngineInfo, stats: Stats, sampling: Sampling, spoken: Spoken) -> dict[str, Any]:
    return {
        "text": spoken.text,
        "reasoning": spoken.reasoning,
        "finish_reason": spoken.finish_reason,
        "model": info.name,
        "model_digest": info.digest,
        "engine": info.remote or None,
        "settings": sampling.replace(seed=stats.seed).to_dict(),
        "stats": {**asdict(stats), "tokens_per_second": stats.tokens_per_second},
    }
