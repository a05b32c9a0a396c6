"""A real Chromium on real servers: each a process of its own with its own data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect, sync_playwright

from app.cli import main
from app.home import models_folder
from benchmarks.browser import executable, launch
from benchmarks.machine import free_port
from tests.browser import scripted_server
from tests.forked import Forked

CHECKOUT = Path(__file__).parents[2]
COMMAND = ("-m", "app.cli")
START_SECONDS = 60.0
EXIT_SECONDS = 10.0
# What is to be seen on a busy machine too; how quick the page is, test_page_speed tells.
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)

Begin = Callable[[Path], "subprocess.Popen[bytes] | Forked"]


class Server:
    """A Fireside server as a process; `start` may be called again after `stop` or `kill`, on the same port.

    begin: starts the process, with its output in a log.
    """

    def __init__(self, begin: Begin, port: int, log: Path) -> None:
        self.begin = begin
        self.port = port
        self.log = log
        self.process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return self.log.read_text()

    def start(self) -> None:
        self.process = self.begin(self.log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.output
            try:
                with urlopen(f"{self.url}/status", timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        pytest.fail(f"no answer within {START_SECONDS:g} s: {self.output}")

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        assert self.process is not None
        self.process.send_signal(kind)
        return self.process.wait(EXIT_SECONDS)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; without one, tests are skipped, or fail where FIRESIDE_REQUIRE_BROWSER=1."""
    if executable() is None:
        if os.environ.get("FIRESIDE_REQUIRE_BROWSER") == "1":
            pytest.fail("no chromium is installed, and FIRESIDE_REQUIRE_BROWSER=1 asks for one")
        pytest.skip("no chromium is installed")
    with sync_playwright() as playwright:
        browser = launch(playwright, address_bar=False)
        yield browser
        browser.close()


def scripted_at(folder: Path, loading: float = 0.0) -> Server:
    """A server with the scripted backend, which is ready after so many seconds; not started yet."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    arguments = [str(folder), str(port), str(loading)]
    return Server(lambda log: Forked(scripted_server.main, arguments, log), port, folder / "log")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One scripted server for the tests of a file that leave it running."""
    server = scripted_at(tmp_path_factory.mktemp("shared"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server of the test's own; `loading` seconds pass before the model is ready."""
    servers: list[Server] = []

    def start(loading: float = 0.0) -> Server:
        servers.append(scripted_at(tmp_path / str(len(servers)), loading))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@contextmanager
def serving(
    folder: Path, models: Path, options: Sequence[str] = (), launcher: Sequence[str | Path] | None = None
) -> Iterator[Server]:
    """`fireside serve` as a process, its data folder and its log in `folder`.

    launcher: what Python is to run for it, with the environment as it is now; None forks one.
    """
    port = free_port()
    arguments = ["serve", "--no-browser", "--port", str(port), "--home", str(folder / "home"), "--models", str(models)]
    arguments += options

    def begin(log: Path) -> subprocess.Popen[bytes] | Forked:
        if launcher is None:
            return Forked(main, arguments, log)
        with log.open("ab") as output:
            environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
            command = [sys.executable, *map(str, launcher), *arguments]
            return subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=CHECKOUT)

    server = Server(begin, port, folder / "serve.log")
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def real(tmp_path: Path, model_path: Path) -> Iterator[Server]:
    """`fireside serve` with the default model."""
    with serving(tmp_path, models_folder()) as server:
        yield server


@pytest.fixture
def slow(tmp_path: Path, model_path: Path) -> Iterator[Server]:
    """The same, slow enough to be interrupted in the middle of an answer."""
    with serving(tmp_path, models_folder(), options=("--kernels", "torch", "--threads", "1")) as server:
        yield server


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open pages; at the end no request may have gone elsewhere, and no script may have failed."""
    contexts: list[BrowserContext] = []
    requests: list[tuple[str, str]] = []
    failures: list[str] = []

    def open_one(url: str, context: BrowserContext | None = None, **options: object) -> Page:
        if context is None:
            context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})  # type: ignore[arg-type]
            context.set_default_timeout(PATIENCE_MS)
            contexts.append(context)
        page = context.new_page()
        origin = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
        page.on("request", lambda request: requests.append((origin, request.url)))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda line: failures.append(line.text) if is_failure(line.text) else None)
        page.goto(url)
        # By its place, since its name depends on the language.
        page.locator("#fs-composer textarea").wait_for()
        return page

    yield open_one
    for context in contexts:
        context.close()
    foreign = [url for origin, url in requests if not url.startswith((origin + "/", "data:", "blob:"))]
    assert foreign == []
    assert failures == []


def is_failure(text: str) -> bool:
    """Whether a console line tells of a refused resource or a broken script; a server that is gone is neither."""
    return "Content Security Policy" in text or "Uncaught" in text


@contextmanager
def held_up(page: Page) -> Iterator[None]:
    """Within, the page's events do not reach the server; afterwards they do, in order."""
    held: list[Route] | None = []
    page.route("**/gradio_api/run/predict*", lambda route: route.continue_() if held is None else held.append(route))
    yield
    early, held = held, None
    for route in early:
        route.continue_()


def message_box(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message", exact=True)


def ask(page: Page, text: str) -> None:
    """Type a question and send it with Enter."""
    message_box(page).fill(text)
    message_box(page).press("Enter")


def answers(page: Page) -> Locator:
    """The answers shown, finished or not."""
    return page.get_by_role("log").get_by_role("article", name="Fireside")


def wait_answered(page: Page, count: int = 1) -> None:
    """Wait until so many answers are there and none is being written."""
    expect(answers(page)).to_have_count(count, timeout=60_000)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_hidden(timeout=120_000)
    expect(answers(page).last).to_have_attribute("aria-busy", "false", timeout=60_000)
