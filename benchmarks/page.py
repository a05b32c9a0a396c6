"""How quick the page is, in real Chromium: `python -m benchmarks.page`, which writes RESULTS-page.md.

The model is scripted, so that the page is measured and not the engine: 500 tokens at exactly 200 a second, below 200
messages of history. The server is the real one, in a process of its own.
"""

from __future__ import annotations

import datetime
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

from app.backend import Backend, Message
from app.fake import ScriptedBackend
from app.listener import listen
from app.server import serve
from benchmarks import machine
from benchmarks.browser import launch
from benchmarks.history import Size, build

RESULTS = Path(__file__).with_name("RESULTS-page.md")
TOKENS, RATE, HISTORY, ROUNDS = 500, 200.0, 200, 5
MANY = Size(messages=20_000, conversations=5_000, longest=200)
PASTED = 1_000_000
# Chromium loads some 300 files of its own interface as it opens a window, on the same processors.
WINDOW_S = 3.0
SENTENCE = "A **cache** keeps the keys and values of `every` earlier token, so that each new one needs only one row. "
# Bounds of the page's own requirements: ratio to the ideal time, then milliseconds.
BOUNDS = {"stream": 1.1, "flow": 1.1, "delay": 100.0, "ready": 1500.0, "stop": 150.0}
TOLD = {
    "stream": f"{TOKENS} tokens at {RATE:g} a second, {HISTORY} messages: from Enter to the end, by the ideal time",
    "flow": "the same from the first text on the page",
    "delay": "longest interaction delay while it streams, ms",
    "frame": "longest frame while it streams, ms",
    "ready": "page ready after the server is up, in a browser that never saw it, ms",
    "window": "the same while Chromium still opens the window, ms",
    "stop": "Stop to finished message, ms",
    "paste": "paste of 1 MB to the frame that shows it, ms",
    "listed": f"page ready with {MANY.conversations:,} chats, ms",
    "opened": "one of them opened, ms",
    "searched": "all of them searched as one types, ms",
}
WATCH = """() => {
  window.measured = { delays: [], frames: [], enter: 0, first: 0, end: 0, stop: 0, stopped: 0 };
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.measured.delays.push(entry.duration);
  }).observe({ type: "event", durationThreshold: 16 });
  let before = performance.now();
  const frame = (now) => {
    window.measured.frames.push(now - before);
    before = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  new MutationObserver(() => {
    const last = document.querySelector(".fs-log > article:last-child");
    if (!last) return;
    const { measured } = window;
    const begun = last.ariaBusy === "true" && last.querySelector(".fs-block");
    if (begun && !measured.first) measured.first = performance.now();
    if (last.ariaBusy === "false" && measured.first && !measured.end) measured.end = performance.now();
  }).observe(document.querySelector(".fs-log"), { subtree: true, childList: true, attributes: true });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter") window.measured.enter = event.timeStamp;
  }, true);
  document.querySelector("#fs-composer .stop-button").addEventListener("pointerdown", () => {
    window.measured.stop = performance.now();
  }, true);
}"""


def script(messages: Sequence[Message]) -> list[str]:
    """Words of Markdown, a token each; paragraphs and a list among them."""
    words = (SENTENCE * 60).split(" ")[:TOKENS]
    breaks = dict.fromkeys(range(60, TOKENS, 90), "\n\n") | dict.fromkeys(range(300, 360, 12), "\n- ")
    return [word + breaks.get(number, " ") for number, word in enumerate(words)]


def metronome() -> Callable[[int], float]:
    """Waits for a token of exactly this rate, whatever the waits before it took."""
    begun = 0.0

    def wait(number: int) -> float:
        nonlocal begun
        now = time.perf_counter()
        if number == 0:
            begun = now
        return max(0.0, begun + number / RATE - now)

    return wait


def serve_scripted(home: Path, port: int) -> int:
    """The real server around the scripted model."""
    model = home / "scripted.gguf"
    model.write_bytes(b"GGUF")

    def load(path: Path, *, on_progress: Callable[[float], None], **_: Any) -> Backend:
        return ScriptedBackend(script, pace=metronome(), context=1_000_000, name="scripted")

    listener = listen("127.0.0.1", port)
    return serve(
        home=home / "data", models_dir=home, model=str(model), listener=listener, open_browser=False, loader=load
    )


def seed(home: Path) -> None:
    """One chat of 200 messages, by the command a user has for it."""
    text = SENTENCE * 6
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": f"Message {number}. {text}"} for number in range(HISTORY)]
    file = home / "history.jsonl"
    file.write_text(json.dumps({"messages": messages}) + "\n")
    command = [sys.executable, "-m", "app.cli", "import", str(file), "--home", str(home / "data")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def start(command: Sequence[str], port: int) -> tuple[subprocess.Popen[bytes], str]:
    """A server that listens on a port, as soon as it answers; its address."""
    process = subprocess.Popen([sys.executable, *command])
    url = f"http://127.0.0.1:{port}"
    for _ in range(6_000):
        try:
            with urlopen(f"{url}/health", timeout=2):
                return process, url
        except OSError:
            time.sleep(0.01)
    raise SystemExit("the server did not start")


def open_window(browser: Browser, wait_s: float = WINDOW_S) -> Page:
    """A window with an empty page and nothing cached."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    time.sleep(wait_s)
    return page


def ready_ms(page: Page, url: str) -> float:
    """From the request of the page to a box that takes text, with the list beside it."""
    begun = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("#fs-composer .fs-attach")
    page.wait_for_selector(".fs-entry a")
    return (time.perf_counter() - begun) * 1000


def open_history(browser: Browser, url: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(url)
    page.locator(".fs-entry a").last.click()
    page.wait_for_function(f"document.querySelectorAll('.fs-log > article').length >= {HISTORY}")
    page.evaluate(WATCH)
    return page


def stream(browser: Browser, url: str) -> dict[str, float]:
    """One answer, with somebody typing beside it."""
    page = open_history(browser, url)
    box = page.get_by_role("textbox", name="Message", exact=True)
    box.fill("go on")
    box.press("Enter")
    page.wait_for_function("window.measured.first > 0")
    # By the keyboard alone: to look for the box each time would take the page's own time.
    while not page.evaluate("window.measured.end > 0"):
        page.keyboard.type("typing ", delay=30)
    measured = page.evaluate("window.measured")
    page.context.close()
    return {
        "stream": (measured["end"] - measured["enter"]) / 1000 / (TOKENS / RATE),
        "flow": (measured["end"] - measured["first"]) / 1000 / (TOKENS / RATE),
        "delay": max(measured["delays"], default=0.0),
        "frame": max(measured["frames"]),
    }


def stop_ms(browser: Browser, url: str) -> float:
    """From the press of Stop to the finished message."""
    page = open_history(browser, url)
    box = page.get_by_role("textbox", name="Message", exact=True)
    box.fill("go on until I stop you")
    box.press("Enter")
    page.wait_for_function("window.measured.first > 0")
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_function("window.measured.end > 0")
    measured = page.evaluate("window.measured")
    page.context.close()
    return measured["end"] - measured["stop"]


def paste_ms(browser: Browser, url: str) -> float:
    """From a paste of a megabyte to the frame that shows it."""
    page = open_history(browser, url)
    taken = page.get_by_role("textbox", name="Message", exact=True).evaluate(
        """async (box, size) => {
          const data = new DataTransfer();
          data.setData("text/plain", "a line of many words\\n".repeat(size / 21));
          const begun = performance.now();
          box.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
          await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          return performance.now() - begun;
        }""",
        PASTED,
    )
    page.context.close()
    return taken


def long_list(browser: Browser, url: str) -> dict[str, float]:
    """With thousands of chats: the page with its list, a search as it is typed, a chat opened."""
    page = open_window(browser)
    listed = ready_ms(page, url)
    page.wait_for_load_state("networkidle")
    until = """async ([act, shown]) => {
      const seen = () => document.querySelector(shown);
      const begun = performance.now();
      if (act.search) {
        const box = document.querySelector("#fs-side input[type=search]");
        box.value = act.search;
        box.dispatchEvent(new Event("input", { bubbles: true }));
      } else document.querySelectorAll(".fs-entry a")[act.open].click();
      while (!seen()) await new Promise(requestAnimationFrame);
      return performance.now() - begun;
    }"""
    opened = page.evaluate(until, [{"open": 7}, ".fs-log > article"])
    searched = page.evaluate(until, [{"search": "garden"}, ".fs-hit"])
    page.context.close()
    return {"listed": listed, "opened": opened, "searched": searched}


def with_server(home: Path, act: Callable[[str], None]) -> None:
    """Do something at a server of its own."""
    port = machine.free_port()
    process, url = start(["-m", "benchmarks.page", "--serve", str(home), str(port)], port)
    try:
        act(url)
    finally:
        process.terminate()
        process.wait(20)


def measure(rounds: int) -> dict[str, list[float]]:
    """Each figure, a number a round."""
    found: dict[str, list[float]] = {name: [] for name in TOLD}
    with sync_playwright() as playwright:
        browser = launch(playwright)

        def short(url: str) -> None:
            for name, wait_s in (("ready", WINDOW_S), ("window", 0)):
                page = open_window(browser, wait_s)
                found[name].append(ready_ms(page, url))
                page.context.close()
            for name, value in stream(browser, url).items():
                found[name].append(value)
            found["stop"].append(stop_ms(browser, url))
            found["paste"].append(paste_ms(browser, url))

        def long(url: str) -> None:
            for _ in range(rounds):
                for name, value in long_list(browser, url).items():
                    found[name].append(value)

        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                seed(Path(folder))
                with_server(Path(folder), short)
        with tempfile.TemporaryDirectory() as folder:
            build(Path(folder) / "data", MANY)
            with_server(Path(folder), long)
        browser.close()
    return found


def report(found: dict[str, list[float]], rounds: int, load: float) -> str:
    """The page of results."""
    lines = ["# The page's speed", "", "| | median | worst | at most |", "| --- | ---: | ---: | ---: |"]
    for name, words in TOLD.items():
        values, bound = found[name], BOUNDS.get(name)
        median = statistics.median(values)
        mark = " **above**" if bound is not None and median > bound else ""
        least = "" if bound is None else f"{bound:g}"
        lines.append(f"| {words} | {median:.3g}{mark} | {max(values):.3g} | {least} |")
    versions = f"gradio {version('gradio')}, playwright {version('playwright')}"
    when = datetime.datetime.now(datetime.UTC).date().isoformat()
    where = f"{machine.described(load)}; {versions}; {when}"
    lines += ["", f"{rounds} rounds, each with a server and pages of its own. {where}."]
    lines += ["Somebody types all the while. Made by `python -m benchmarks.page`.", ""]
    return "\n".join(lines)


def main() -> int:
    if sys.argv[1:2] == ["--serve"]:
        return serve_scripted(Path(sys.argv[2]), int(sys.argv[3]))
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    load = machine.load()
    text = report(measure(rounds), rounds, load)
    print(text)
    RESULTS.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
