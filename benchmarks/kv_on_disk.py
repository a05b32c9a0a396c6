"""What keeping keys and values on disk gives after a restart, and what it costs while a chat is answered.

python -m benchmarks.kv_on_disk [MODEL] [--threads N] prints two tables of medians of three, the second with the range.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import weights
from app.home import models_folder
from engine import Engine, KVFiles, Run, Sampling

LENGTHS = (256, 1_000, 2_000)
ROUNDS = 3
# Tokens of the answer, and of the other conversation whose keys and values are written meanwhile.
ANSWER = 200
WRITTEN = 2_000
LIMIT = 4 * 10**9


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    path = options.model or weights.fetch(weights.DEFAULT, models_folder())
    with tempfile.TemporaryDirectory() as folder:
        restart(path, options.threads, Path(folder) / "restart")
        writing(path, options.threads, Path(folder) / "writing")


def restart(path: Path, threads: int | None, folder: Path) -> None:
    """Time to the first token of a conversation in a new engine: computed, read from memory, read from the disk."""
    print("| tokens | on disk | computed | read, page cache | read, cold disk |\n| ---: | ---: | ---: | ---: | ---: |")
    for length in LENGTHS:
        conversation = draw(length)
        with load(path, threads, folder / str(length)) as engine:
            finish(engine.generate(conversation, answer_of(1)))
        times: dict[str, list[float]] = {"computed": [], "read": [], "cold": []}
        for _ in range(ROUNDS):
            for how, measured in times.items():
                if how == "cold":
                    forget(folder / str(length))
                with load(path, threads, None if how == "computed" else folder / str(length)) as engine:
                    finish(engine.generate(draw(20, seed=1), answer_of(1)))
                    run = finish(engine.generate(conversation, answer_of(1)))
                    # The last block is not whole, or ends in the token that is computed anyway.
                    assert (run.stats.restored_tokens > 0) == (how != "computed")
                    measured.append(run.stats.ttft_seconds)
        size = sum(file.stat().st_size for file in (folder / str(length)).iterdir())
        figures = " | ".join(f"{statistics.median(measured) * 1e3:,.0f} ms" for measured in times.values())
        print(f"| {length:,} | {size / 1e6:,.0f} MB | {figures} |", flush=True)


def writing(path: Path, threads: int | None, folder: Path) -> None:
    """Speed of an answer and its longest wait for a token, while another chat is written to the disk or not."""
    print("\n| beside the answer | tokens per second | longest wait for a token |\n| --- | ---: | ---: |")
    speeds: dict[str, list[float]] = {"nothing": [], "keys and values of 2,000 tokens written": []}
    waits: dict[str, list[float]] = {"nothing": [], "keys and values of 2,000 tokens written": []}
    for number in range(ROUNDS):
        for what in speeds:
            with load(path, threads, None if what == "nothing" else folder) as engine:
                finish(engine.generate(draw(WRITTEN, seed=10 + number), answer_of(1)))
                stamps = [time.perf_counter()]
                run = engine.generate(draw(20, seed=2), answer_of(ANSWER))
                for _ in run:
                    stamps.append(time.perf_counter())
                speeds[what].append(run.stats.tokens_per_second)
                waits[what].append(max(b - a for a, b in pairwise(stamps[1:])))
    for what, measured in speeds.items():
        speed = f"{statistics.median(measured):.0f} ({min(measured):.0f} to {max(measured):.0f})"
        longest = f"{statistics.median(waits[what]) * 1e3:.0f} ms ({max(waits[what]) * 1e3:.0f})"
        print(f"| {what} | {speed} | {longest} |", flush=True)


def load(path: Path, threads: int | None, folder: Path | None) -> Engine:
    engine = Engine.load(path, threads=threads, speculate=False, kv_files=KVFiles(folder, LIMIT) if folder else None)
    engine.wait_for_kernels()
    return engine


def draw(count: int, seed: int = 0) -> list[int]:
    """Token ids; which they are does not matter for the time they take."""
    source = random.Random(seed)
    return [source.randrange(300, 30_000) for _ in range(count)]


def answer_of(count: int) -> Sampling:
    return Sampling(temperature=0, max_tokens=count, ignore_eos=True)


def finish(run: Run) -> Run:
    for _ in run:
        pass
    return run


def forget(folder: Path) -> None:
    """Have the system drop these files from its page cache."""
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


if __name__ == "__main__":
    main()
