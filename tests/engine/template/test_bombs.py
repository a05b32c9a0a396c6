"""Templates that would take all time and memory end at once, and nobody else notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine import Engine, Sampling
from engine.errors import TemplateError
from engine.template import ChatTemplate
from tests.engine.template.hostile import BOMBS, SLOW
from tests.engine.template.styles import CHATML
from tests.tiny import write_tiny_llama
from tests.turnstile import crowded

TALK = [{"role": "user", "content": "word " * 100}, {"role": "assistant", "content": "a"}]
SECONDS = 2.0
EXTRA_BYTES = 256 * 2**20
ENDLESS = Sampling(temperature=0, ignore_eos=True)
LONGEST_GAP = 1.0


def go_off(source: str) -> float:
    """The seconds until the bomb was refused, with one line."""
    ChatTemplate(CHATML)  # a worker is warm, as it is once a model is loaded
    started = time.perf_counter()
    with pytest.raises(TemplateError) as caught:
        ChatTemplate(source).render(TALK)
    assert "\n" not in str(caught.value)
    return time.perf_counter() - started


@pytest.mark.parametrize("source", [bomb for bomb in BOMBS if bomb not in SLOW], ids=lambda source: source[:50])
def test_a_bomb_ends_in_time_with_one_error(source: str) -> None:
    assert go_off(source) < SECONDS * crowded()


class Stream(threading.Thread):
    """Answers one after the other, and the longest wait for a token."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.ended = threading.Event()
        self.tokens = 0
        self.longest = 0.0

    def run(self) -> None:
        last = time.perf_counter()
        while not self.ended.is_set():
            run = self.engine.chat([{"role": "user", "content": "Tell me"}], ENDLESS)
            for _ in run:
                now = time.perf_counter()
                self.longest, last = max(self.longest, now - last), now
                self.tokens += 1
                if self.ended.is_set():
                    run.cancel()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = write_tiny_llama(tmp_path_factory.mktemp("bombs") / "roomy.gguf", context=8192)
    with Engine.load(path, device="cpu") as engine:
        yield engine


@pytest.mark.alone
def test_bombs_do_not_hold_up_another_chat(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    stream = Stream(engine)
    stream.start()
    try:
        deadline = time.monotonic() + 20
        while stream.tokens < 50 and time.monotonic() < deadline:
            time.sleep(0.01)
        stream.longest, before, started = 0.0, stream.tokens, time.perf_counter()
        slowest = max(go_off(source) for source in [*SLOW, *BOMBS[::6]])
        rate = (stream.tokens - before) / (time.perf_counter() - started)
    finally:
        stream.ended.set()
        stream.join()
    with capsys.disabled():
        count = len(SLOW) + len(BOMBS[::6])
        print(
            f"\n{count} bombs, the slowest {slowest:.2f} s; beside them {rate:.0f} tokens a second, "
            f"the longest gap {stream.longest * 1000:.0f} ms"
        )
    assert slowest < SECONDS * crowded()
    assert stream.longest < LONGEST_GAP * crowded()
    assert rate > 20


def test_a_bomb_costs_this_process_no_memory(tmp_path: Path) -> None:
    ChatTemplate(CHATML).render(TALK)
    process = psutil.Process()
    before = process.memory_info().rss
    for source in BOMBS[::8]:
        go_off(source)
    assert process.memory_info().rss - before < EXTRA_BYTES / 4


def test_good_templates_render_after_and_beside_bombs() -> None:
    template = ChatTemplate(CHATML)
    expected = template.render(TALK).text
    bombs = [threading.Thread(target=go_off, args=(source,)) for source in SLOW[:2]]
    for bomb in bombs:
        bomb.start()
    started = time.perf_counter()
    assert template.render(TALK).text == expected
    assert time.perf_counter() - started < SECONDS / 2 * crowded()
    for bomb in bombs:
        bomb.join()
    assert template.render(TALK).text == expected


def test_a_worker_that_was_killed_is_replaced() -> None:
    template = ChatTemplate(CHATML)
    expected = template.render(TALK).text
    workers = [child for child in psutil.Process().children() if "engine.template.worker" in child.cmdline()]
    assert workers
    for worker in workers:
        worker.kill()
        worker.wait()
    assert template.render(TALK).text == expected


def test_a_crowded_machine_may_take_longer_on_the_clock() -> None:
    template = ChatTemplate(CHATML)
    expected = template.render(TALK).text
    workers = [child for child in psutil.Process().children() if "engine.template.worker" in child.cmdline()]
    for worker in workers:
        worker.suspend()
    waking = threading.Timer(SECONDS, lambda: [worker.resume() for worker in workers])
    waking.start()
    started = time.perf_counter()
    assert template.render(TALK).text == expected
    assert time.perf_counter() - started > SECONDS / 2
    waking.join()


def test_a_worker_can_neither_open_files_nor_grow(tmp_path: Path) -> None:
    ChatTemplate(CHATML).render(TALK)
    worker = next(child for child in psutil.Process().children() if "engine.template.worker" in child.cmdline())
    if not hasattr(worker, "rlimit"):
        pytest.skip("this system does not tell the limits of another process")
    assert worker.rlimit(psutil.RLIMIT_NOFILE) == (3, 3)
    assert worker.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert worker.rlimit(psutil.RLIMIT_AS) == (512 * 2**20,) * 2
    assert worker.memory_info().rss < 64 * 2**20
