"""The table of what was measured."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from llvmlite.binding import get_host_cpu_features

from benchmarks.machine import described
from engine import EngineInfo

# Above this load a core at the start, other programs share in what is measured.
BUSY = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """One thing measured of Fireside and of another, a number a round; ratio: how many times better Fireside is.

    least, aim: what the ratio is meant to reach. smaller: of the two, the smaller number is the better.
    """

    what: str
    ours: Sequence[float]
    peer: str
    theirs: Sequence[float]
    least: float | None = None
    aim: float | None = None
    smaller: bool = False

    @property
    def ratios(self) -> list[float]:
        """Of each round."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return sorted(theirs / ours if self.smaller else ours / theirs for ours, theirs in pairs)

    def line(self) -> str:
        ratio = statistics.median(self.ratios)
        mark = "" if self.least is None or ratio >= self.least else " **below**"
        cells = [
            self.what,
            _spread(self.ours),
            f"{self.peer}: {_spread(self.theirs)}",
            f"{ratio:.2f}x ({self.ratios[0]:.2f} to {self.ratios[-1]:.2f}){mark}",
            "" if self.least is None else f"{self.least:g}x",
            "" if self.aim is None else f"{self.aim:g}x",
        ]
        return f"| {' | '.join(cells)} |"


def write(
    path: Path, command: str, info: EngineInfo, rows: Sequence[Row], notes: Sequence[str], rounds: int, load: float
) -> None:
    """Write the page of results. load: `machine.load` at the start."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numba", "transformers", "xllamacpp"))
    busy = f" **Other programs were running (load {load:.1f} a core): the figures are too low.**" if load > BUSY else ""
    where = f"{described(load)}, {_vectors()}"
    model = f"{info.name}, {info.quantization}, kernels: {info.kernels}"
    method = (
        f"Medians of {rounds} interleaved rounds. A ratio is the median of the rounds' ratios; above 1, Fireside is "
        "the better."
    )
    lines = [
        "# Measured speed",
        "",
        f"`{command}` on {datetime.date.today()}; {where}, {packages}; {model}.{busy}",
        "",
        "| what, median (spread) | Fireside | beside it | ratio | at least | aim |",
        "| --- | --- | --- | --- | --- | --- |",
        *(row.line() for row in rows),
        "",
        method,
        *(line for note in notes for line in ("", note)),
    ]
    path.write_text("\n".join(lines) + "\n")


def _spread(values: Sequence[float]) -> str:
    digits = 2 if max(values) < 10 else 0 if min(values) >= 100 else 1
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({least:,.{digits}f} to {most:,.{digits}f})"


def _vectors() -> str:
    """The widest vectors that the kernels can use here."""
    features = get_host_cpu_features()
    names = {"avx512f": "AVX-512", "avx2": "AVX2, no AVX-512", "neon": "NEON"}
    return next((name for feature, name in names.items() if features.get(feature)), "none of AVX2 and NEON")
