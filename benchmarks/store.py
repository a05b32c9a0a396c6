"""How long searching, opening and starting take with a long history: 100,000 messages in 5,000 conversations.

    python -m benchmarks.store

The history is made once, in build/history, and kept for the next time. What is measured is what the page asks for: all
of a search, with the chats and the messages that are found, and all of a conversation, with what the model sees of it.
Writes benchmarks/RESULTS-store.md.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from app.chats import Chats
from app.home import models_folder
from app.library import ModelLibrary
from app.list_routes import page_of
from app.models import Models
from app.server import freeze
from app.store import Store
from app.store.search import Filters
from app.store.store import DATABASE
from app.ui.handlers import Handlers
from app.ui.views import Sequencer
from app.workspace import OWNER, Workspace
from benchmarks import machine
from benchmarks.history import TAGS, Size, Words, build
from weights import DEFAULT

FOLDER = Path("build/history")
RESULTS = Path(__file__).parent / "RESULTS-store.md"
SEED = 7
STARTS = 5


class Took(NamedTuple):
    """Milliseconds by the clock, and of a processor: the difference was spent waiting for the disk or for others."""

    wall: float
    cpu: float


Times = dict[str, dict[str, list[Took]]]


class Target(NamedTuple):
    """What was promised, in milliseconds; None where nothing was."""

    p95: float | None = None
    most: float | None = None


TARGETS = {
    "search": Target(50, 300),
    "open 1,000 messages": Target(most=100),
    "open, the first after a start": Target(),
    "list of chats": Target(most=20),
    "start": Target(most=3_000),
    "start, file not in memory": Target(most=3_000),
}


def queries(count: int) -> Iterator[tuple[str, str]]:
    """So many kinds and search texts in turn, each different: what people type, and what is hard."""
    draw = random.Random(SEED)
    words = Words(SEED)

    def english(low: int, high: int) -> str:
        return words.english[draw.randrange(low, high)]

    def han(count: int, high: int) -> str:
        return "".join(words.han[draw.randrange(high)] for _ in range(count))

    def letters() -> str:
        return "".join(draw.choice("abcdefghijklmnopqrstuvwxyz'\"*(-") for _ in range(draw.randrange(3, 30)))

    kinds: dict[str, Callable[[], str]] = {
        "one common word": lambda: english(0, 40),
        "one word": lambda: english(40, 3_000),
        "one rare word": lambda: english(3_000, 30_000),
        "two common words": lambda: f"{english(0, 40)} {english(0, 40)}",
        "a common and a rare word": lambda: f"{english(0, 40)} {english(3_000, 30_000)}",
        "three words": lambda: f"{english(0, 300)} {english(0, 300)} {english(0, 3_000)}",
        "beginning of two letters": lambda: english(0, 30_000)[:2],
        "beginning of a word": lambda: english(100, 30_000)[:3],
        "in quotes": lambda: f'"{english(0, 60)} {english(0, 60)}"',
        "two common Han characters": lambda: han(2, 40),
        "three Han characters": lambda: han(3, 300),
        "one Han character": lambda: han(1, 2_000),
        "nonsense": letters,
        "common word, tag": lambda: f"{english(0, 40)} #{draw.choice(TAGS)}",
    }
    seen: set[str] = set()
    for number in range(count):
        kind = list(kinds)[number % len(kinds)]
        # There are few enough of some kinds that they may run out.
        for _ in range(100):
            if (query := kinds[kind]()) not in seen:
                break
        seen.add(query)
        yield kind, query


def measure(home: Path, models: Models, count: int, rounds: int) -> Times:
    """How long each act takes, by kind within the act. models: with its backend ready."""
    took: Times = {name: {} for name in TARGETS}

    def timed(act: str, kind: str, do: Callable[[], Any]) -> Any:
        computed, started = time.thread_time(), time.perf_counter()
        result = do()
        ended = time.perf_counter()
        took[act].setdefault(kind, []).append(Took((ended - started) * 1000, (time.thread_time() - computed) * 1000))
        return result

    for _ in range(STARTS):
        timed("start", "", lambda: Store.open(home)).close()
        if forget(home / DATABASE):
            timed("start, file not in memory", "", lambda: Store.open(home)).close()
    with Store.open(home) as store:
        chats = Chats(store, models)
        library = ModelLibrary(models, models_folder())
        mine = Workspace(OWNER, store, chats)
        handlers = Handlers(mine, library, Sequencer())
        try:
            longest = longest_conversation(home)
            # The first prompt of a model also begins the process that renders its template.
            timed("open, the first after a start", "", lambda: handlers.open(longest))
            for _ in range(rounds):
                for kind, query in queries(count):
                    timed("search", kind, lambda query=query: page_of(mine, query, False, Filters(), 0))
                for _ in range(10):
                    timed("list of chats", "", lambda: page_of(mine, "", False, Filters(), 0))
                    timed("open 1,000 messages", "", lambda: handlers.open(longest))
        finally:
            chats.close()
    return took


def longest_conversation(home: Path) -> str:
    with closing(sqlite3.connect(home / DATABASE)) as db:
        query = "SELECT conversation_id FROM messages GROUP BY conversation_id ORDER BY count(*) DESC LIMIT 1"
        return db.execute(query).fetchone()[0]


def forget(path: Path) -> bool:
    """Have the system read the file from the disk the next time; False where it does not take such advice."""
    if not hasattr(os, "posix_fadvise"):
        return False
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def report(took: Times, command: str, home: Path, before: float) -> str:
    """The results as Markdown. before: the load of the machine when it began."""
    head = "| n | median | p95 | most | processor, median | p95 |"
    rule = f"| --- {'| --- ' * 6}|"
    lines = [f"| milliseconds {head} promised |", f"{rule} --- |"]
    for act, kinds in took.items():
        if times := [each for every in kinds.values() for each in every]:
            promises = [f"{name} {limit:,}" for name, limit in TARGETS[act]._asdict().items() if limit]
            lines.append(f"| {act} | {_figures(times)} | {', '.join(filter(None, promises))} |")
    lines += ["", f"| search for {head}", rule]
    lines += [f"| {kind} | {_figures(times)} |" for kind, times in took["search"].items()]
    with closing(sqlite3.connect(home / DATABASE)) as db:
        messages, characters = db.execute("SELECT count(*), sum(length(content)) FROM messages").fetchone()
        [conversations] = db.execute("SELECT count(*) FROM conversations").fetchone()
    size = (home / DATABASE).stat().st_size
    return (
        f"# Measured: a long history\n\n`{command}`, {machine.described(before)}, SQLite "
        f"{sqlite3.sqlite_version}; load {machine.load():.2f} a core at the end.\n\n"
        f"{messages:,} messages in {conversations:,} conversations, {characters / 1e6:.0f} million characters, "
        f"a file of {size / 1e6:,.0f} MB.\n\n" + "\n".join(lines) + "\n\n"
        "A search is all that the page asks for as one types: the chats and the newest messages that are found, with "
        "their snippets. Opening is all that the page is told of a conversation, what the model sees of it included. "
        "A start is the opening of the store, with the check of every page of the file. What is not the processor's is "
        "waiting, for other programs or for the disk: a file that is not in memory is read at the speed of the disk. "
        "Words are drawn by Zipf's law from a vocabulary of 30,000.\n"
    )


def _figures(times: list[Took]) -> str:
    wall, cpu = zip(*times, strict=True)
    figures = [statistics.median(wall), _p95(wall), max(wall), statistics.median(cpu), _p95(cpu)]
    return " | ".join([f"{len(times):,}", *(f"{figure:.1f}" for figure in figures)])


def _p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=Size().messages)
    parser.add_argument("--conversations", type=int, default=Size().conversations)
    parser.add_argument("--queries", type=int, default=280)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the history is kept, by its size")
    options = parser.parse_args()
    home = options.folder / f"{options.messages}-{options.conversations}"
    # Built under another name first: one that was interrupted is not taken for a whole one.
    if not (home / DATABASE).exists():
        part = home.with_name(home.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        build(part, Size(options.messages, options.conversations), SEED)
        part.rename(home)
    before = machine.load()
    models = Models(models_folder(), DEFAULT.name)
    models.start()
    models.backend()
    # As the service does.
    freeze()
    try:
        took = measure(home, models, options.queries, options.rounds)
    finally:
        models.close()
    RESULTS.write_text(report(took, " ".join(["python -m benchmarks.store", *sys.argv[1:]]), home, before))
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
