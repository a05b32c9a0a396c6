"""Pictures of the page, with the default model: `make screenshots`, which writes docs/pictures/.

Nothing in them is drawn by hand: a server of its own, a short imported history so that the list is not bare, and then
what a person does.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.browser import launch
from benchmarks.machine import free_port
from benchmarks.page import start

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
MAX_BYTES = 300_000
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
QUESTION = "Describe a campfire on a cold night in a few sentences."
SEED = "7"
HOUR, DAY = 3_600, 86_400
# Title, seconds ago, question, answer.
HISTORY = (
    ("A toast for Mira's birthday", 2 * HOUR, "Write a short toast for my sister's birthday.", "To Mira, who …"),
    ("Dry wood or seasoned wood?", 3 * HOUR, "What is seasoned wood?", "Wood that has dried for a year or two."),
    ("Trip to Kyoto in autumn", DAY, "What should I see in Kyoto in November?", "The maples at Tofuku-ji."),
    ("SQL window functions", DAY + HOUR, "Explain ROW_NUMBER.", "It numbers the rows of each partition."),
    ("中文分词是怎么做的", DAY + 2 * HOUR, "中文分词是怎么做的？", "常用词典匹配和统计模型。"),
    ("Letter to the landlord", 3 * DAY, "Make this letter friendlier.", "Dear Mr Lang, thank you for …"),
    ("Bayes' rule with two coins", 4 * DAY, "Explain Bayes' rule with coins.", "Say one of two coins is fair …"),
    ("Why bread needs salt", 5 * DAY, "Why does bread need salt?", "It strengthens the gluten."),
    ("Rust lifetimes, slowly", 12 * DAY, "What is a lifetime in Rust?", "How long a reference stays valid."),
    ("Regular expression for dates", 20 * DAY, "A regex for ISO dates?", "`\\d{4}-\\d{2}-\\d{2}`"),
    ("Names for a small cat", 40 * DAY, "Names for a small grey cat?", "Ash, Pebble, Mouse."),
)
PINNED = "Trip to Kyoto in autumn"

Scheme = Literal["light", "dark"]


def chatgpt_export(folder: Path) -> Path:
    """The history as a file that `fireside import` takes."""
    now = time.time()
    chats = []
    for title, ago, question, answer in HISTORY:
        nodes: dict[str, Any] = {}
        parent = None
        for number, (role, text) in enumerate((("user", question), ("assistant", answer))):
            id = f"{title}-{number}"
            content = {"content_type": "text", "parts": [text]}
            said = {"id": id, "author": {"role": role}, "create_time": now - ago + number, "content": content}
            nodes[id] = {"id": id, "parent": parent, "children": [], "message": said}
            parent = id
        times = {"create_time": now - ago, "update_time": now - ago + 1}
        chats.append({"id": title, "title": title, "current_node": parent, "mapping": nodes, **times})
    file = folder / "conversations.json"
    file.write_text(json.dumps(chats))
    return file


class Camera:
    """Takes pictures of pages of one server."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url

    def open(self, path: str = "/", *, scheme: Scheme = "light", phone: bool = False, locale: str = "en-GB") -> Page:
        size: Any = PHONE if phone else DESKTOP
        context = self._browser.new_context(
            viewport=size, color_scheme=scheme, locale=locale, reduced_motion="reduce", has_touch=phone
        )
        page = context.new_page()
        page.goto(self._url + path)
        page.locator("#fs-composer .fs-attach").wait_for()
        page.wait_for_function("document.fonts.status === 'loaded'")
        return page

    def take(self, page: Page, name: str) -> None:
        """A picture of what is seen; the page is closed."""
        page.mouse.move(5, 5)
        page.wait_for_timeout(400)
        file = PICTURES / f"{name}.png"
        page.screenshot(path=file)
        page.context.close()
        if file.stat().st_size >= MAX_BYTES:
            raise SystemExit(f"{file} has {file.stat().st_size:,} bytes, {MAX_BYTES:,} are too many")
        print(f"{name}: {file.stat().st_size:,} bytes")


def ask(page: Page, text: str, count: int) -> None:
    """Send a question, and wait for so many answers in all."""
    box = page.locator("#fs-composer textarea")
    box.fill(text)
    box.press("Enter")
    finished = page.locator(".fs-log > article.fs-answer[aria-busy=false]")
    expect(finished).to_have_count(count, timeout=120_000)


def converse(camera: Camera) -> str:
    """The chat of the pictures; its path. An answer with another temperature and a version beside it."""
    page = camera.open()
    expect(page.get_by_text("Q4_1")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("slider", name="Temperature", exact=True).fill("0.3")
    page.get_by_label("Seed", exact=False).first.fill(SEED)
    ask(page, QUESTION, 1)
    page.get_by_role("button", name="Regenerate").click()
    expect(page.get_by_text("2/2")).to_be_visible(timeout=120_000)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_hidden(timeout=120_000)
    page.locator(f".fs-entry a:has-text('{PINNED}')").first.hover()
    pinned = page.locator(".fs-entry", has_text=PINNED).first
    pinned.click(button="right")
    page.get_by_role("menuitem", name="Pin").click()
    page.wait_for_timeout(3_000)  # The model may give the chat a title.
    path = page.url.removeprefix(page.evaluate("location.origin"))
    page.context.close()
    return path


def drawer(page: Page) -> Page:
    page.get_by_role("button", name=re.compile("Settings|设置")).first.click()
    page.locator("#fs-set-temperature").wait_for()
    return page


def models(page: Page) -> Page:
    page.locator(".fs-model-button").click()
    page.locator(".fs-card").first.wait_for()
    return page


def tokens(page: Page) -> Page:
    page.locator(".fs-figures-line").last.click()
    page.get_by_role("tab", name=re.compile("Tokens|词元")).click()
    page.locator(".fs-panel [role=tabpanel]").wait_for()
    page.wait_for_timeout(1_500)
    return page


def search(page: Page) -> Page:
    page.get_by_role("searchbox").fill("wood")
    page.locator(".fs-hit").first.wait_for()
    return page


def sidebar(page: Page) -> Page:
    page.locator(".fs-topbar button").first.click()
    page.locator(".fs-entry").first.wait_for()
    return page


def as_is(page: Page) -> Page:
    return page


def take_all(camera: Camera, chat: str) -> None:
    views: dict[str, tuple[str, Callable[[Page], Page]]] = {
        "chat": (chat, drawer),
        "empty": ("/", as_is),
        "models": ("/", models),
        "tokens": (chat, tokens),
        "search": (chat, search),
    }
    schemes: tuple[Scheme, ...] = ("light", "dark")
    for name, (path, act) in views.items():
        for scheme in schemes:
            camera.take(act(camera.open(path, scheme=scheme)), f"{name}-{scheme}")
        camera.take(act(camera.open(path, scheme="light", locale="zh-CN")), f"{name}-zh")
    phone: dict[str, tuple[str, Callable[[Page], Page]]] = {
        **{name: views[name] for name in ("empty", "models", "tokens")},
        "chat": (chat, as_is),
        "settings": (chat, drawer),
        "list": (chat, sidebar),
    }
    for name, (path, act) in phone.items():
        camera.take(act(camera.open(path, phone=True)), f"{name}-phone")


def main() -> int:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder) / "home"
        file = chatgpt_export(Path(folder))
        command = [sys.executable, "-m", "app.cli", "import", str(file), "--home", str(home)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        port = free_port()
        process, url = start(["-m", "app.cli", "serve", "--no-browser", "--port", str(port), "--home", str(home)], port)
        browser = launch(playwright, address_bar=False)
        try:
            camera = Camera(browser, url)
            take_all(camera, converse(camera))
        finally:
            browser.close()
            process.terminate()
            process.wait(20)
    return 0


if __name__ == "__main__":
    sys.exit(main())
