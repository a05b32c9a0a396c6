"""Nothing leaves the machine: what the server's process and the browser do is watched through a whole visit."""

from __future__ import annotations

import ipaddress
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Locator, Page, expect

from app.home import models_folder
from app.ui.zh import CHINESE
from tests.app.test_languages import dictionary

from .conftest import Server, answers, ask, serving, wait_answered

WATCHED = Path(__file__).with_name("watched_server.py")


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "network.txt"


@pytest.fixture
def watched(tmp_path: Path, record: Path, model_path: Path) -> Iterator[Server]:
    """`fireside serve` with the default model, which is there already, under an audit hook."""
    with serving(tmp_path, models_folder(), launcher=(WATCHED, record)) as server:
        yield server


def test_nothing_leaves_the_machine(watched: Server, record: Path, open_page: Callable[..., Page]) -> None:
    with peers_of(watched) as peers:
        # The fixture asserts that every request of the page went to the server's own address.
        page = open_page(watched.url)
        ask(page, "What is the capital of France?")
        wait_answered(page)
        answer = answers(page).inner_text()
        assert answer
        page.reload()
        expect(answers(page)).to_contain_text(answer.splitlines()[0])
        chinese = dictionary() | CHINESE
        chat = page.url
        walk(page, lambda text: text)
        walk(open_page(chat, locale="zh-CN"), lambda text: chinese[text])
    assert watched.stop() == 0

    events = record.read_text(encoding="utf-8").splitlines()
    # The hook does see: the server's own socket is on record.
    assert f"socket.bind ('127.0.0.1', {watched.port})" in events
    assert [event for event in events if not event.startswith("socket.bind") and not is_local(event)] == []
    assert peers
    assert {peer for peer in peers if not ipaddress.ip_address(peer).is_loopback} == set()


def walk(page: Page, word: Callable[[str], str]) -> None:
    """Look at every view there is from a page with an answer. word: what a text of the page is in its language."""

    def button(name: str) -> Locator:
        return page.get_by_role("button", name=word(name), exact=True)

    def dialog(name: str) -> Locator:
        return page.get_by_role("dialog", name=word(name), exact=True)

    answer = page.get_by_role("log").get_by_role("article").last
    answer.get_by_title(word("Figures of this answer")).click()
    for tab in ("Figures", "Tokens", "Origin", "Replay", "Look inside"):
        page.get_by_role("tab", name=word(tab), exact=True).click()
        expect(page.get_by_role("tabpanel")).not_to_be_empty()
    button("Close panel").click()
    answer.hover()
    answer.get_by_role("button", name=word("More")).click()
    expect(page.get_by_role("menu")).to_be_visible()
    page.keyboard.press("Escape")
    button("Settings").click()
    expect(page.get_by_role("slider").first).to_be_visible()
    for opener, name in (
        ("Trash", "Trash"),
        ("Import chats", "Import chats"),
        ("Export chats", "Export chats"),
        ("Filter the search", "Filter the search"),
    ):
        button(opener).click()
        expect(dialog(name)).to_be_visible()
        page.keyboard.press("Escape")
        expect(dialog(name)).to_be_hidden()
    page.keyboard.press("Control+/")
    expect(dialog("Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile(f"^{word('Model: {name}').partition('{')[0]}")).click()
    expect(dialog("Models")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("searchbox", name=word("Search chats")).fill("capital")
    expect(page.get_by_role("region", name=word("Messages"))).to_be_visible()
    page.get_by_role("searchbox", name=word("Search chats")).fill("")
    button("Archive").click()
    button("All chats").click()
    button("Notebook").click()
    expect(button("Back to the chat")).to_be_visible()
    button("Back to the chat").click()
    page.get_by_role("button", name=word("New chat")).click()


def is_local(event: str) -> bool:
    """Whether an event names an address of this machine's own, by number: names would have to be looked up.

    The process that renders chat templates is our own, and speaks through pipes only.
    """
    if event.startswith("subprocess.Popen") and "'-m', 'engine.template.worker'" in event:
        return True
    addresses = re.findall(r"'([^']*)'", event)
    return bool(addresses) and not event.startswith("subprocess") and addresses[0] in ("127.0.0.1", "::1")


@contextmanager
def peers_of(server: Server) -> Iterator[set[str]]:
    """The remote addresses of all sockets of the process meanwhile, those of native code too."""
    assert server.process is not None
    process, peers, ended = psutil.Process(server.process.pid), set[str](), threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            peers.update(connection.raddr.ip for connection in process.net_connections() if connection.raddr)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peers
    finally:
        ended.set()
        watcher.join()
