"""What it costs to have one long prompt answered with four presets side by side, against one answer alone.

    python -m benchmarks.compare [--tokens 2000] [--rounds 5]

Through the chat service with a real store, in turn: a question alone, then another of the same length compared, from
sending it to the moment at which every answer has its first token. No two prompts begin alike.
"""

from __future__ import annotations

import argparse
import datetime
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import weights
from app.chats import Chats, Sent
from app.home import models_folder
from app.inside.comparison import presets_varied
from app.models import Models
from app.store import Store
from benchmarks import machine
from benchmarks.history import COMMON
from engine import Engine

RESULTS = Path(__file__).resolve().parent / "RESULTS-compare.md"
PRESETS = 4
# What the issue asks for.
MOST = 1.6
ANSWER = 4
WAYS = {
    "native kernels": {},
    "torch, deterministic": {"kernels": "torch", "deterministic": True},
}


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of each round; tokens: of the prompt, and how many of it the four together computed."""

    alone: Sequence[float]
    compared: Sequence[float]
    tokens: Sequence[tuple[int, int]]

    @property
    def ratio(self) -> float:
        return statistics.median(four / one for one, four in zip(self.alone, self.compared, strict=True))


def question(tokens: int, source: random.Random) -> str:
    """Words whose number of tokens is about so many."""
    return " ".join(source.choices(COMMON.split(), k=int(tokens * 0.98))) + ". Sum this up."


def first_tokens(chats: Chats, sent: Sequence[Sent], began: float) -> float:
    """Seconds until every answer has its first token; all have ended when it returns."""
    runs = [chats.live(each.message_id) for each in sent]
    lives = [live for live in runs if live is not None]
    assert len(lives) == len(sent)
    waiting = list(lives)
    while waiting:
        waiting = [live for live in waiting if not live.token_ids and not live.done]
        time.sleep(0.001)
    seconds = time.perf_counter() - began
    for live in lives:
        while not live.done:
            time.sleep(0.005)
    return seconds


def measure(way: dict[str, object], tokens: int, rounds: int) -> Costs:
    path, source = weights.fetch(weights.DEFAULT, models_folder()), random.Random(tokens)
    alone: list[float] = []
    compared: list[float] = []
    read: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "home") as store:
        models = Models(Path(folder), str(path), loader=partial(Engine.load, **way))
        engine = models.backend()
        assert isinstance(engine, Engine)
        engine.wait_for_kernels()
        chats = Chats(store, models)
        store.presets.save("Fourth", {"temperature": 1.2})
        presets = store.presets.list()[:PRESETS]
        for _ in range(rounds + 1):
            began = time.perf_counter()
            sent = [chats.send(None, question(tokens, source), settings={"max_tokens": ANSWER})]
            alone.append(first_tokens(chats, sent, began))
            variations = presets_varied(presets, [{**preset.settings, "max_tokens": ANSWER} for preset in presets])
            began = time.perf_counter()
            sent = chats.compare(None, variations, text=question(tokens, source))
            compared.append(first_tokens(chats, sent, began))
            answers = [store.messages.get(each.message_id) for each in sent]
            prompt = int(answers[0].prompt_tokens or 0)
            read.append((prompt, sum(int(each.prompt_tokens or 0) - int(each.cached_tokens or 0) for each in answers)))
        chats.close()
        models.close()
    # The first round makes caches and warms everything up.
    return Costs(alone[1:], compared[1:], read[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tokens", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    load = machine.load()
    costs = {name: measure(dict(way), arguments.tokens, arguments.rounds) for name, way in WAYS.items()}
    lines = [
        "# Measured: one prompt, four presets",
        "",
        (
            f"`python -m benchmarks.compare --tokens {arguments.tokens} --rounds {arguments.rounds}` on "
            f"{datetime.date.today()}; {machine.described(load)}; "
            f"{weights.DEFAULT.title}."
        ),
        "",
        "| | tokens of the prompt | computed for all four | one alone, s | four compared, s | ratio | at most |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, cost in costs.items():
        prompt, computed = zip(*cost.tokens, strict=True)
        lines.append(
            f"| {name} | {min(prompt):,} to {max(prompt):,} | {min(computed):,} to {max(computed):,} "
            f"| {_spread(cost.alone)} | {_spread(cost.compared)} | {cost.ratio:.2f} | {MOST} |"
        )
    lines += [
        "",
        (
            "Seconds from sending a question to the moment at which each of its answers has its first token, median "
            f"(spread) of {arguments.rounds} interleaved rounds; the ratio is the median of the rounds' ratios. Tokens "
            "computed are those of the four prompts that were neither in memory nor copied from the answer beside: one "
            "prompt, and the last token of each other, whose logits are wanted."
        ),
    ]
    RESULTS.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0 if all(cost.ratio < MOST for cost in costs.values()) else 1


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main())
