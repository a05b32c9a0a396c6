"""Speed beside llama.cpp and transformers: the same file, the same threads, one run, in turn.

    make bench            # or: python -m benchmarks.speed --rounds 5

Writes benchmarks/RESULTS.md, or --results. Only the ratios mean something on another machine, and only on an idle one.
How exactly each of them computes the file is measured by benchmarks/quality.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from app.home import models_folder
from benchmarks import machine
from benchmarks.peers import Contender, Fireside, LlamaCpp, Transformers, together
from benchmarks.report import Row, write
from benchmarks.starting import start_fireside, start_llama_cpp
from engine import Engine, Sampling
from weights import DEFAULT, fetch

RESULTS = Path(__file__).parent / "RESULTS.md"
CHATS = 8
NEW_TOKENS = 64
# A question and an answer as they are in a chat.
QUESTION, ANSWER = 48, 200
LONG = 4_000
TURNS = 2_000
OURS = Fireside.name
PEER = LlamaCpp.name


def prompt(seed: int, length: int) -> list[int]:
    """Token ids that differ from those of every other seed from the first one on."""
    return [(7919 * (seed + 1) + 31 * place) % 40_000 + 300 for place in range(length)]


def interleaved(
    contenders: Sequence[Contender], rounds: int, measure: Callable[[Contender, int], float]
) -> dict[str, list[float]]:
    """What `measure` finds for each contender in each round; a round more comes first, to warm everybody up."""
    found: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for index in range(rounds + 1):
        for contender in contenders:
            value = measure(contender, index)
            if index:
                found[contender.name].append(value)
    return found


def short_context(contenders: Sequence[Contender], rounds: int) -> list[Row]:
    found = interleaved(contenders, rounds, lambda who, index: who.answer(prompt(index, 128), NEW_TOKENS).decode)
    mine, peer = found.pop(OURS), found.pop(PEER)
    better = max(found, key=lambda name: sum(found[name]))
    what = "decode after 128 tokens, tok/s"
    return [Row(what, mine, PEER, peer, 1.3, 2.2), Row(what, mine, better, found[better], 8, 14)]


def long_context(ours: Contender, peer: Contender, rounds: int) -> list[Row]:
    # All but the last tokens are the same, and stay in both caches.
    def measure(who: Contender, index: int) -> float:
        return who.answer(prompt(900, LONG) + prompt(index, 8), 32, reuse=True).decode

    found = interleaved([ours, peer], rounds, measure)
    return [Row("decode after 4,000 tokens, tok/s", found[OURS], PEER, found[PEER], 1.1, 1.5)]


def prefill(contenders: Sequence[Contender], rounds: int) -> list[Row]:
    found = interleaved(contenders, rounds, lambda who, index: who.answer(prompt(100 + index, 512), 2).prefill)
    mine = found.pop(OURS)
    goals = {PEER: (3.0, 4.0)}
    return [
        Row("prefill of 512 tokens, tok/s", mine, name, theirs, *goals.get(name, (None, None)))
        for name, theirs in found.items()
    ]


def tenth_turn(ours: Contender, peer: Contender, rounds: int) -> list[Row]:
    """A question of 30 tokens after 2,000 that both have in their caches."""

    def measure(who: Contender, index: int) -> float:
        return 1e3 * who.answer(prompt(901, TURNS) + prompt(index, 30), 2, reuse=True).first_token

    found = interleaved([ours, peer], rounds, measure)
    return [Row("first token of a tenth turn, ms", found[OURS], PEER, found[PEER], 1.0, None, smaller=True)]


def many_chats(ours: Contender, peer: Contender, rounds: int) -> list[Row]:
    """From the first question to the last answer's end, the reading of the questions among it."""

    def measure(who: Contender, index: int) -> float:
        return together(who, [prompt(200 + CHATS * index + chat, QUESTION) for chat in range(CHATS)], ANSWER)

    alone: list[float] = []

    def measure_both(who: Contender, index: int) -> float:
        if who is ours:
            alone.append(together(who, [prompt(400 + index, QUESTION)], ANSWER))
        return measure(who, index)

    found = interleaved([ours, peer], rounds, measure_both)
    what = f"{CHATS} chats at once, answers of {ANSWER}, tok/s of all"
    return [
        Row(what, found[OURS], "one chat of Fireside's", alone[1:], 2.5, 3.5),
        Row(what, found[OURS], f"llama.cpp with {CHATS} slots", found[PEER], 1.3, 2.0),
    ]


# What people ask for that repeats its prompt, or nothing of it.
TASKS = {
    "correcting a text": "Correct the spelling and repeat the text: ",
    "summarising it": "Summarize in three sentences: ",
    "a story": "Write a story about a fox in a snowy forest.",
}


def guessing(guessing: Engine, plain: Engine, rounds: int) -> list[Row]:
    """Answers of up to 200 tokens at temperature 0 with tokens guessed beforehand, against the same without."""
    text = (Path(__file__).parent.parent / "docs" / "kernels.md").read_text()[:1500]
    rows = []
    for name, task in TASKS.items():
        messages = [{"role": "user", "content": task + text if task.endswith(": ") else task}]
        speeds: dict[Engine, list[float]] = {guessing: [], plain: []}
        tokens = {}
        for _ in range(rounds):
            for engine, found in speeds.items():
                run = engine.chat(messages, Sampling(temperature=0, max_tokens=200))
                tokens[engine] = [step.token for step in run]
                found.append(run.stats.tokens_per_second)
        if tokens[guessing] != tokens[plain]:
            raise RuntimeError(f"{name}: the answer with guesses differs from the one without")
        rows.append(Row(f"{name}, tok/s", speeds[guessing], "without guessing", speeds[plain]))
    return rows


def equal_answers(path: Path, threads: int, *, kernels: str, deterministic: bool) -> str:
    """How many of 8 answers that are written at once are those that are written alone, with the same seeds."""
    at_once, alone = (
        answers(path, threads, kernels=kernels, deterministic=deterministic, at_once=at_once)
        for at_once in (True, False)
    )
    equal = sum(one == other for one, other in zip(at_once, alone, strict=True))
    return f"{kernels}{', deterministic' if deterministic else ''}: {equal} of {CHATS}"


def answers(path: Path, threads: int, *, kernels: str, deterministic: bool, at_once: bool) -> list[list[int | None]]:
    options = [Sampling(temperature=0.8, seed=seed, max_tokens=NEW_TOKENS, ignore_eos=True) for seed in range(CHATS)]
    with Engine.load(path, threads=threads, kernels=kernels, deterministic=deterministic, context=512) as engine:
        runs = (engine.generate(prompt(500 + seed, 40), sampling) for seed, sampling in enumerate(options))
        return [[step.token for step in run] for run in (list(runs) if at_once else runs)]


def starting(path: Path, threads: int, rounds: int) -> tuple[list[Row], str]:
    """Loading in a process of its own, the file in the page cache, until the first token; and memory."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(start_fireside(path, threads))
        theirs.append(start_llama_cpp(path, threads))
    first = start_fireside(path, threads, first_time=True)
    rows = [
        Row("load to first token, s", [each.first_token for each in ours], PEER,
            [each.first_token for each in theirs], smaller=True),
        Row("memory after 100 tokens, MB", [each.megabytes for each in ours], PEER,
            [each.megabytes for each in theirs], smaller=True),
    ]  # fmt: skip
    note = (
        f"Load to first token is to take Fireside 2.5 s at most, and 1.5 s if it can. Python and the imports come "
        f"before: {ours[0].imports:.1f} s. On a machine where the kernels are still to be compiled, the first token "
        f"comes after {first.first_token:.1f} s, by torch, and native kernels are in use after {first.native:.1f} s."
    )
    return rows, note


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write")
    options = parser.parse_args()
    rounds, threads = options.rounds, options.threads
    torch.set_num_threads(threads)
    load = machine.load()

    path = fetch(DEFAULT, models_folder())
    rows, note = starting(path, threads, rounds)
    # Guesses would do too well on prompts of made-up tokens, which are answered by repetition.
    with Engine.load(path, threads=threads, speculate=False) as engine, Engine.load(path, threads=threads) as quick:
        for each in (engine, quick):
            each.wait_for_kernels()
        ours = Fireside(engine)
        peer = LlamaCpp(path, threads, context=8192)
        others = [Transformers(path, dtype) for dtype in (torch.float32, torch.bfloat16)]
        rows = [
            *short_context([ours, peer, *others], rounds),
            *long_context(ours, peer, rounds),
            *prefill([ours, peer, *others], rounds),
            *tenth_turn(ours, peer, rounds),
            *many_chats(ours, LlamaCpp(path, threads, context=512, slots=CHATS), rounds),
            *guessing(quick, engine, rounds),
            *rows,
        ]
        info = engine.info
    equal = [
        equal_answers(path, threads, kernels="native", deterministic=False),
        equal_answers(path, threads, kernels="torch", deterministic=False),
        equal_answers(path, threads, kernels="torch", deterministic=True),
    ]
    why = "What falls short, and why: [where the time goes](../docs/kernels.md#where-the-time-goes)."
    how = "All but the rows 'without guessing' were measured without guessed tokens (prompt lookup)."
    notes = [
        how,
        why,
        note,
        f"Of {CHATS} answers at once, with seeds, these equal those given alone: {'; '.join(equal)}.",
    ]
    command = f"python -m benchmarks.speed --rounds {rounds} --threads {threads}"
    write(options.results, command, info, rows, notes, rounds, load)
    print(options.results.read_text())


if __name__ == "__main__":
    main()
