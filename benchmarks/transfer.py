"""How quick an import is, what it needs, and whether the page answers meanwhile: `python -m benchmarks.transfer`.

Files as ChatGPT writes them, their words drawn by Zipf's law. 50,000 messages are sent to a real server (with a
scripted model) while a real Chromium opens chats; the large files are imported by a process of their own, whose memory
the kernel tells. Writes benchmarks/RESULTS-transfer.md.
"""

from __future__ import annotations

import argparse
import datetime
import http.client
import json
import os
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from app.store import Store
from app.store.store import DATABASE
from app.transfer.importing import import_file
from app.transfer.source import ImportRefused
from benchmarks import machine
from benchmarks.history import Words

RESULTS = Path(__file__).with_name("RESULTS-transfer.md")
SEED = 7
TEXTS = 400
LOOK_SECONDS, OPEN_SECONDS = 0.2, 0.5
OPEN = """async ([title, text]) => {
  const begun = performance.now();
  [...document.querySelectorAll(".fs-entry a")].find((each) => each.textContent.includes(title)).click();
  const shown = () => document.querySelector(".fs-log")?.textContent.includes(text);
  while (!shown()) {
    if (performance.now() - begun > 30000) throw new Error(`${title} does not open`);
    await new Promise(requestAnimationFrame);
  }
  return performance.now() - begun;
}"""


class Shape(NamedTuple):
    """messages: how many, so many a chat, of about so many characters each."""

    messages: int
    chat: int
    characters: int


def write_export(path: Path, shape: Shape) -> Path:
    """A file as ChatGPT writes it. Its texts are of a few hundred that are drawn, for drawing takes long."""
    draw = random.Random(SEED)
    words = Words(SEED)
    texts = [words.english_text(draw, shape.characters // 6) for _ in range(TEXTS)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(shape.messages // shape.chat):
            file.write(",\n" if number else "[\n")
            file.write(json.dumps(_conversation(number, shape.chat, lambda: draw.choice(texts))))
        file.write("\n]\n")
    return path


def _conversation(number: int, messages: int, text: Callable[[], str]) -> dict[str, Any]:
    mapping: dict[str, Any] = {"root": {"id": "root", "parent": None, "message": None}}
    begun = 1.7e9 + 3_600 * number
    for place in range(messages):
        role = "assistant" if place % 2 else "user"
        id, parent = f"{number}-{place}", f"{number}-{place - 1}" if place else "root"
        content = {"content_type": "text", "parts": [f"{number}.{place} {text()}"]}
        message = {"id": id, "author": {"role": role}, "create_time": begun + place, "content": content,
                   "status": "finished_successfully", "metadata": {"model_slug": "gpt-5"}}  # fmt: skip
        mapping[id] = {"id": id, "parent": parent, "children": [], "message": message}
    return {"id": f"chat-{number}", "title": f"Chat {number}", "create_time": begun, "update_time": begun + messages,
            "mapping": mapping, "current_node": f"{number}-{messages - 1}"}  # fmt: skip


def write_long_text(path: Path, size: int) -> Path:
    """A chat with one text of so many bytes."""
    with path.open("wb") as file:
        file.write(b'[{"mapping": {"a": "')
        for _ in range(size >> 20):
            file.write(b"x" * (1 << 20))
        file.write(b'"}}]')
    return path


class Alone(NamedTuple):
    """What an import in a process of its own came to. megabytes: its peak, of which `before` it had at the start.

    steps: how often it told how far it is. said: its summary, or why it was refused.
    """

    seconds: float
    megabytes: float
    before: float
    steps: int
    said: str
    database: float


def alone(path: Path, home: Path) -> Alone:
    """Import a file into a new data folder by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.transfer", "--alone", str(path), str(home)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return Alone(*json.loads(result.stdout.splitlines()[-1]))


def _alone(path: Path, home: Path) -> None:
    steps = 0

    def step(phase: str, done: int, total: int) -> None:
        nonlocal steps
        steps += 1

    with Store.open(home) as store:
        before = peak_megabytes(os.getpid())
        begun = time.monotonic()
        try:
            said = import_file(store, path, step).summary
        except ImportRefused as error:
            said = str(error)
        seconds = time.monotonic() - begun
    size = (home / DATABASE).stat().st_size / 1e6
    print(json.dumps(Alone(seconds, peak_megabytes(os.getpid()), before, steps, said, size)))


def peak_megabytes(process: int) -> float:
    """The most memory that a process has had."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


class Beside(NamedTuple):
    """An import by a server, and what others waited for meanwhile, in milliseconds by what it was."""

    seconds: float
    megabytes: float
    before: float
    steps: int
    summary: str
    database: float
    waits: dict[str, list[float]]


def beside(folder: Path, path: Path, browser: Any = None) -> Beside:
    """Send a file to a server in a new data folder. browser: opens chats meanwhile, if given (Playwright's)."""
    for name in ("Oaks", "Elms"):
        seed(folder, name)
    from benchmarks.page import start

    port = machine.free_port()
    process, url = start(["-m", "benchmarks.page", "--serve", str(folder), str(port)], port)
    waits: dict[str, list[float]] = {}
    try:
        before = peak_megabytes(process.pid)
        result: dict[str, Any] = {}
        sending = threading.Thread(target=lambda: result.update(send(url, path)))
        with _looking(url, {"/health": waits, "/conversations": waits}, sending):
            page = browser.new_page() if browser else None
            if page:
                page.goto(url)
                page.wait_for_selector(".fs-entry a")
            sending.start()
            while page and sending.is_alive():
                for name in ("Oaks", "Elms"):
                    waits.setdefault("a chat opened on the page", []).append(
                        page.evaluate(OPEN, [name, f"Of {name.lower()}"])
                    )
                    time.sleep(OPEN_SECONDS)
            sending.join()
            if page:
                page.close()
        peak = peak_megabytes(process.pid)
    finally:
        process.terminate()
        process.wait(20)
    size = (folder / "data" / DATABASE).stat().st_size / 1e6
    return Beside(result["seconds"], peak, before, result["steps"], result["report"]["summary"], size, waits)


def seed(folder: Path, name: str) -> None:
    """A pinned chat, so that it stays where it is in the list."""
    with Store.open(folder / "data") as store:
        chat = store.conversations.create(title=name)
        store.messages.add(chat.id, parent_id=None, role="user", content=f"Of {name.lower()}: what are they?")
        store.conversations.pin(chat.id)


def send(url: str, path: Path) -> dict[str, Any]:
    """POST /import, as the page does: `report`, `seconds`, and how many `steps` were told."""
    begun = time.monotonic()
    with path.open("rb") as file:
        headers = {"Content-Length": str(path.stat().st_size)}
        request = Request(f"{url}/import?name={path.name}", data=file, headers=headers, method="POST")
        with urlopen(request) as response:
            lines = list(response)
    return {"seconds": time.monotonic() - begun, "steps": len(lines)} | json.loads(lines[-1])


@contextmanager
def _looking(url: str, asked: dict[str, dict[str, list[float]]], until: threading.Thread) -> Iterator[None]:
    """Ask for these again and again while the thread runs, each by a thread of its own."""
    ended = threading.Event()

    def look(path: str, waits: list[float]) -> None:
        while not ended.is_set():
            if until.is_alive():
                begun = time.perf_counter()
                connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                connection.close()
                waits.append((time.perf_counter() - begun) * 1000)
            ended.wait(LOOK_SECONDS)

    threads = [threading.Thread(target=look, args=(path, waits.setdefault(path, []))) for path, waits in asked.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def report(found: Beside, files: dict[str, tuple[float, Alone]], command: str, load: float) -> str:
    """The page of results."""
    where = (
        f"`{command}`, {machine.described(load)}, SQLite {sqlite3.sqlite_version}; "
        f"{datetime.datetime.now(datetime.UTC).date()}."
    )
    sent = (
        f"**Sent to a running server**, while the page is used: {found.summary} in **{found.seconds:.1f} s** "
        f"(promised: under 60). The server's memory rose from {found.before:.0f} to {found.megabytes:.0f} MB at most, "
        f"the database to {found.database:.0f} MB; {found.steps:,} times it told how far it was."
    )
    lines = [
        *("# Measured: moving in", "", where, "", sent, ""),
        "| milliseconds meanwhile | n | median | p99 | most |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for what, waits in found.waits.items():
        p99 = statistics.quantiles(waits, n=100, method="inclusive")[-1] if len(waits) > 1 else waits[0]
        lines.append(f"| {what} | {len(waits)} | {statistics.median(waits):.0f} | {p99:.0f} | {max(waits):.0f} |")
    lines += ["", "**Large files**, each by a process of its own:", ""]
    lines += ["| file | MB | seconds | memory at most, MB | of it before | steps told | database, MB | |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
    for what, (size, each) in files.items():
        said = each.said.split(": ", 1)[-1] if "imported" in each.said else each.said
        lines.append(
            f"| {what} | {size:,.0f} | {each.seconds:.1f} | {each.megabytes:.0f} | {each.before:.0f} | {each.steps:,} "
            f"| {each.database:,.0f} | {said} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alone", nargs=2, type=Path, metavar=("FILE", "HOME"), help=argparse.SUPPRESS)
    parser.add_argument("--long", action="store_true", help="also 500,000 short messages, which take minutes")
    options = parser.parse_args()
    if options.alone:
        _alone(*options.alone)
        return
    from playwright.sync_api import sync_playwright

    from benchmarks.browser import launch

    load = machine.load()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = launch(playwright)
        (folder / "server").mkdir()
        path = write_export(folder / "export.json", Shape(50_000, 20, 700))
        found = beside(folder / "server", path, browser)
        browser.close()
        command = " ".join(["python -m benchmarks.transfer", *sys.argv[1:]])
        makers: dict[str, Callable[[Path], Path]] = {
            "one text of 1 GB": lambda path: write_long_text(path, 1 << 30),
            "52,000 messages of 10 kB": lambda path: write_export(path, Shape(52_000, 20, 10_000)),
        }
        if options.long:
            makers["500,000 messages of 0.7 kB"] = lambda path: write_export(path, Shape(500_000, 20, 700))
        files: dict[str, tuple[float, Alone]] = {}
        # Written as it goes: the large files take minutes.
        RESULTS.write_text(report(found, files, command, load))
        for number, (what, make) in enumerate(makers.items()):
            made = make(folder / "file.json")
            files[what] = (made.stat().st_size / 1e6, alone(made, folder / f"home-{number}"))
            RESULTS.write_text(report(found, files, command, load))
            made.unlink()
            shutil.rmtree(folder / f"home-{number}")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
