"""The page is quick: the bounds of its own requirements, with the model scripted. `benchmarks/page.py` has the figures.

On a machine that does something else beside, a page may be late without being slow: the best of a few times counts,
times have twice their bound, and all bounds grow with the load where there is more to do than there are processors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from benchmarks import machine
from benchmarks import page as speed
from tests.turnstile import crowded

pytestmark = pytest.mark.alone

TIMES = 3
LOADED = 2.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("speed")
    speed.seed(home)
    port = machine.free_port()
    process, url = speed.start(["-m", "benchmarks.page", "--serve", str(home), str(port)], port)
    yield url
    process.terminate()
    process.wait(20)


def best(measure: Callable[[], float], bound: float) -> float:
    """The least of a few measurements; the first within the bound will do."""
    least = float("inf")
    for _ in range(TIMES):
        least = min(least, measure())
        if least <= bound:
            break
    return least


def test_the_page_is_ready_soon_after_the_server(browser: Browser, url: str) -> None:
    bound = speed.BOUNDS["ready"] * LOADED * crowded()

    def ready_ms() -> float:
        page = speed.open_window(browser)
        taken = speed.ready_ms(page, url)
        page.context.close()
        return taken

    assert best(ready_ms, bound) <= bound


def test_tokens_arrive_below_a_long_history_as_fast_as_they_are_made(browser: Browser, url: str) -> None:
    delays: list[float] = []

    def ratio() -> float:
        measured = speed.stream(browser, url)
        delays.append(measured["delay"])
        return measured["flow"]

    bound = speed.BOUNDS["flow"] * crowded()
    assert best(ratio, bound) <= bound
    assert min(delays) <= speed.BOUNDS["delay"] * LOADED * crowded()


def test_stop_stops_at_once(browser: Browser, url: str) -> None:
    bound = speed.BOUNDS["stop"] * LOADED * crowded()
    assert best(lambda: speed.stop_ms(browser, url), bound) <= bound
