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
from app.cli.options import debug_option, home_option, models_option
from app.home import data_folder, models_folder
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


class Finding(NamedTuple):
    """One line of the report."""

    level: Literal["ok", "warning", "problem"]
    what: str
    detail: str


@click.command()
@home_option
@models_option
@debug_option
def doctor(home: Path | None, models_dir: Path | None) -> int:
    """Check Python, torch, the model file and the database."""
    problems = 0
    for check in (
        _python(),
        _torch(),
        _model(models_folder(models_dir)),
        _sqlite(),
        _data(data_folder(home)),
    ):
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
