"""`fireside bench`: how quick a model is on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.options import (
    context_option,
    debug_option,
    kernels_option,
    model_option,
    models_option,
    quantize_option,
    threads_option,
)
from app.cli.terminal import locate
from app.home import models_folder
from engine.errors import EngineError

if TYPE_CHECKING:
    from engine import Engine, Run

CHATS = 8
PROMPT = 512
SHORT = 128
ANSWER = 64


@click.command()
@model_option
@context_option
@threads_option
@kernels_option
@quantize_option
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="How often to measure.")
@models_option
@debug_option
def bench(
    model: str,
    context: int | None,
    threads: int | None,
    kernels: str,
    quantize: str | None,
    rounds: int,
    models_dir: Path | None,
) -> None:
    """Measure how quick a model is on this machine, in tokens per second.

    Other programs that run share in what is measured. To measure beside llama.cpp and transformers, run 'make bench'
    in a checkout.
    """
    path = locate(model, models_folder(models_dir))
    from engine import Engine

    started = time.perf_counter()
    with Engine.load(path, context=context, threads=threads, kernels=kernels, quantize=quantize) as engine:
        loaded = time.perf_counter() - started
        engine.wait_for_kernels()
        needed = PROMPT + 2
        if engine.info.context < needed:
            raise EngineError(f"measuring needs a context of {needed} tokens, but it is {engine.info.context}")
        info = engine.info
        click.echo(f"{info.name}, {info.quantization}, kernels: {info.kernels}, loaded in {loaded:.1f} s")
        measure = _Measure(engine)
        for what, once in (
            (f"prompt of {PROMPT} tokens", measure.prefill),
            (f"answer after {SHORT} tokens", measure.decode),
            (f"{CHATS} answers at once", measure.together),
        ):
            click.echo(f"{what:25} {_spread(once, rounds)}")


class _Measure:
    """Speeds of one engine, tokens per second; each question is new to its cache."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked = 0

    def prefill(self) -> float:
        run = self._ask(PROMPT, 1)
        list(run)
        return PROMPT / run.stats.prefill_seconds

    def decode(self) -> float:
        run = self._ask(SHORT, ANSWER)
        list(run)
        return run.stats.tokens_per_second

    def together(self) -> float:
        started = time.perf_counter()
        for run in [self._ask(SHORT // CHATS, ANSWER) for _ in range(CHATS)]:
            list(run)
        return CHATS * ANSWER / (time.perf_counter() - started)

    def _ask(self, length: int, answer: int) -> Run:
        from engine import Sampling

        self._asked += 1
        ids = range(1, self._engine.info.vocabulary // 2)
        prompt = [ids[(7919 * self._asked + place) % len(ids)] for place in range(length)]
        return self._engine.generate(prompt, Sampling(temperature=0, max_tokens=answer, ignore_eos=True))


def _spread(once: Callable[[], float], rounds: int) -> str:
    once()  # the first warms up
    found = [once() for _ in range(rounds)]
    return f"{statistics.median(found):10,.1f} tokens per second ({min(found):,.1f} to {max(found):,.1f})"
