"""What holds whatever else the engine is doing: a cancel is quick and touches nobody else, memory that runs out ends
one answer and not the engine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from engine import Engine, Run, Sampling
from tests.tiny import write_tiny_llama
from tests.turnstile import crowded

ENDLESS = Sampling(temperature=0, ignore_eos=True)
HOT = Sampling(temperature=1, seed=9, ignore_eos=True)
COMPARED = 50
CANCEL_SECONDS = 0.5
SLOTS = 8


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    path = write_tiny_llama(tmp_path / "roomy.gguf", context=8192)
    with Engine.load(path, device="cpu") as engine:
        yield engine


def first_tokens(run: Run) -> list[int]:
    """The first of an answer, which ends with them."""
    answer = [step.token for step in islice(run, COMPARED) if step.token is not None]
    run.cancel()
    assert list(run)[-1].finish_reason == "cancelled"
    return answer


def wait_for(run: Run, phase: str) -> None:
    deadline = time.monotonic() + 20
    while run.phase != phase:
        assert time.monotonic() < deadline, f"still {run.phase}"
        time.sleep(0.001)


def used_slots(engine: Engine) -> int:
    return sum(not slot.free for slot in engine._scheduler._slots._slots)


@pytest.mark.parametrize("phase", ["queued", "prefill", "decode"])
def test_a_cancel_frees_the_slot_at_once_and_touches_nobody_else(engine: Engine, phase: str) -> None:
    others = [f"story number {number}" for number in range(SLOTS if phase == "queued" else SLOTS - 1)]
    alone = [first_tokens(engine.generate(prompt, HOT)) for prompt in others]
    beside = [engine.generate(prompt, HOT) for prompt in others]
    for run in beside:
        wait_for(run, "decode")
    # A prompt so long that its prefill, beside the others, takes seconds.
    victim = engine.generate("v" * 8000 if phase == "prefill" else "victim", ENDLESS)
    wait_for(victim, phase)
    assert used_slots(engine) == SLOTS
    began = time.perf_counter()
    victim.cancel()
    last = list(victim)[-1]
    taken = time.perf_counter() - began
    assert last.finish_reason == "cancelled"
    assert taken < CANCEL_SECONDS * crowded()
    if phase != "queued":
        assert used_slots(engine) < SLOTS
    assert [first_tokens(run) for run in beside] == alone


def test_runs_cancelled_at_any_moment_leave_no_slot_thread_or_keys_behind(engine: Engine) -> None:
    threads = threading.active_count()
    before = first_tokens(engine.generate("still here", HOT))
    for number in range(150):
        run = engine.generate(f"run {number} " * (number % 40 + 1), ENDLESS)
        # Between none and a few steps later, so that each phase is met.
        time.sleep(number % 15 / 1000)
        run.cancel()
        assert list(run)[-1].finish_reason == "cancelled"
    slots = engine._scheduler._slots._slots
    assert used_slots(engine) == 0
    assert len(slots) <= SLOTS
    assert all(slot.cache.length == len(slot.tokens) for slot in slots)
    assert not engine._scheduler._active
    assert threading.active_count() == threads
    assert first_tokens(engine.generate("still here", HOT)) == before


OUT_OF_MEMORY = """
import json, resource, sys
from engine import Engine, OutOfMemory, Sampling

endless = Sampling(temperature=0, ignore_eos=True)
with Engine.load(sys.argv[1], device="cpu", kernels="torch", threads=1) as engine:
    expected = [step.token for step in engine.generate("Hello", endless.replace(max_tokens=20))]
    run = engine.generate("Tell me", endless)
    steps = iter(run)
    text = "".join(next(steps).text for _ in range(20))
    # Room for Python's own small objects, which are not what runs out.
    objects = [bytes(200) for _ in range(50_000)][::500]
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    unlimited = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**17, unlimited[1]))
    message = None
    try:
        for step in steps:
            text += step.text
    except OutOfMemory as error:
        message = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, unlimited)
    again = [step.token for step in engine.generate("Hello", endless.replace(max_tokens=20))]
    print(json.dumps([message, len(text), run.stats.new_tokens, again == expected]))
"""


def test_memory_that_runs_out_ends_the_run_with_its_text_and_the_engine_goes_on(tmp_path: Path) -> None:
    # So wide that a step takes memory in pieces which come from the system, as those of a large model do.
    path = write_tiny_llama(tmp_path / "wide.gguf", layers=1, inner=65_536, context=8192)
    child = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, str(path)],
        env={"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_ARENA_MAX": "1", "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert child.returncode == 0, child.stderr
    message, shown, new_tokens, serves = json.loads(child.stdout)
    assert message is not None
    assert "memory ran out" in message
    assert "\n" not in message
    assert shown > 0
    assert 20 <= new_tokens < 8000
    assert serves
