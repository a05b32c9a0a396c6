"""`fireside doctor`: what was found on this machine, and what is wrong with it."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import click

import weights
from app.cli.options import debug_option, home_option, model_option, models_option
from app.cli.terminal import locate
from app.home import data_folder, models_folder
from engine.errors import EngineError
from weights import DEFAULT, WeightsError

# The first version without the WAL-reset bug (sqlite.org/wal.html).
SOUND_SQLITE = (3, 51, 3)
CPU_FEATURES = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "asimddp",
    "i8mm",
    "sve",
)


RUNNING_TEXT = Path(__file__).with_name("quality.txt")


class Finding(NamedTuple):
    """One line of the report."""

    level: Literal["ok", "warning", "problem"]
    what: str
    detail: str


@click.command()
@click.option("--quality", is_flag=True, help="Measure the model too: perplexity, and distance from plain float32.")
@model_option
@home_option
@models_option
@debug_option
def doctor(quality: bool, model: str, home: Path | None, models_dir: Path | None) -> int:
    """Check Python, torch, the kernels, the model file and the database."""
    problems = 0
    folder = data_folder(home)
    checks = [_python(), _torch(), _kernels(), _model(models_folder(models_dir)), _sqlite(), _data(folder), _kv(folder)]
    if quality:
        checks.append(_quality(model, models_folder(models_dir)))
    for check in checks:
        for finding in check:
            problems += finding.level == "problem"
            click.echo(f"{finding.level:8} {finding.what:12} {finding.detail}")
    return 1 if problems else 0


def _python() -> Iterator[Finding]:
    yield Finding("ok", "Python", f"{platform.python_version()} on {platform.platform()}, {sys.executable}")


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of torch's is missing
        yield Finding("problem", "torch", f"cannot be imported ({error}): install Fireside again")
        return
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU, runs on the CPU"
    yield Finding("ok", "torch", f"{torch.__version__}, {device}")
    features = " ".join(sorted(_cpu_features())) or "unknown"
    yield Finding(
        "ok",
        "CPU",
        f"{torch.get_num_threads()} threads on {os.cpu_count()} processors, "
        f"torch uses {torch.backends.cpu.get_cpu_capability()}, features: {features}",
    )


def _cpu_features() -> set[str]:
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:  # only Linux has it
        return set()
    return words & set(CPU_FEATURES)


def _kernels() -> Iterator[Finding]:
    from engine.native import code_is_ready, missing

    if reason := missing():
        yield Finding("warning", "kernels", f"torch computes every model, more slowly than need be: {reason}")
    elif code_is_ready():
        yield Finding("ok", "kernels", "native, compiled for this processor")
    else:
        yield Finding("ok", "kernels", "native, to be compiled beside the first answer")


def _model(folder: Path) -> Iterator[Finding]:
    path = DEFAULT.path_in(folder)
    if not path.exists():
        yield Finding("warning", "model", f"{DEFAULT.name} is not in {folder} yet: the first start fetches it")
        return
    try:
        weights.check(f"the file {path}", path.stat().st_size, weights.digest(path), DEFAULT)
    except (WeightsError, OSError) as error:
        yield Finding("problem", "model", str(error))
    else:
        yield Finding("ok", "model", f"{path}, {DEFAULT.size}, SHA-256 as it should be")


def _sqlite() -> Iterator[Finding]:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= SOUND_SQLITE:
        yield Finding("ok", "SQLite", version)
    else:
        sound = ".".join(map(str, SOUND_SQLITE))
        yield Finding(
            "warning",
            "SQLite",
            f"{version}: keep other programs from writing the database ({sound} mends that)",
        )


def _data(home: Path) -> Iterator[Finding]:
    from app.store import StoreError
    from app.store.check import count_messages, examine
    from app.store.store import DATABASE

    path = home / DATABASE
    if not path.exists():
        yield Finding("ok", "database", f"{path}, made by the first start")
        return
    try:
        examine(path)
    except StoreError as error:
        yield Finding("problem", "database", str(error))
    else:
        yield Finding("ok", "database", f"sound, {count_messages(path):,} messages, {path}")


def _kv(home: Path) -> Iterator[Finding]:
    from app.kv import kv_folder
    from engine.kv_files import size_of

    folder = kv_folder(home)
    try:
        size = size_of(folder)
    except OSError as error:
        yield Finding(
            "warning", "stored KV", f"{folder} cannot be read ({error.strerror}): conversations are computed again"
        )
        return
    yield Finding("ok", "stored KV", f"{size / 1e6:,.0f} MB of computed conversations in {folder}")


def _quality(model: str, models_dir: Path) -> Iterator[Finding]:
    from engine.quality import MAX_DIVERGENCE, measure

    try:
        path = locate(model, models_dir)
        click.echo("measuring the model, which takes a minute or several...", err=True)
        quality = measure(path, RUNNING_TEXT.read_text(encoding="utf-8"))
    except (WeightsError, EngineError) as error:
        yield Finding("problem", "quality", str(error))
        return
    yield Finding("ok", "perplexity", f"{quality.perplexity:.2f} over {quality.tokens:,} tokens of English prose")
    for what, fidelity in (("prompts", quality.prompt), ("answers", quality.answer)):
        yield Finding(
            "ok" if fidelity.kl_mean <= MAX_DIVERGENCE else "warning",
            what,
            f"KL to the same weights in plain float32: mean {fidelity.kl_mean:.2g}, most {fidelity.kl_max:.2g} nats, "
            f"where a mean of {MAX_DIVERGENCE} is good; likeliest token the same {fidelity.agreement:.1%} of the time",
        )
