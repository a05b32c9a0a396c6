"""The whole path with the default model: from the key press to the tokens, over a restart."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from time import monotonic

from playwright.sync_api import Page, expect

from app.store import Store
from app.store.tokens import unpack_ids

from .conftest import Server, answers, ask, message_box, wait_answered

Open = Callable[..., Page]


def conversation_id(address: str) -> str:
    found = re.search(r"[0-9A-Z]{26}", address)
    assert found, address
    return found[0]


def test_the_real_path(slow: Server, open_page: Open) -> None:
    page = open_page(slow.url)
    expect(page.get_by_text("Q4_1")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("slider", name="Temperature", exact=True).fill("0")
    ask(page, "What is the capital of France?")
    wait_answered(page)
    expect(answers(page)).to_contain_text("Paris")
    address = page.url

    ask(page, "Write a long story about a dragon and a knight.")
    expect(answers(page)).to_have_count(2)
    expect(answers(page).last.locator(".fs-md")).to_have_text(lengthy(40), timeout=60_000)
    page.reload()
    expect(answers(page).last.locator(".fs-md")).to_have_text(lengthy(80), timeout=60_000)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(answers(page).last).to_contain_text("Stopped.")
    stopped = answers(page).last.locator(".fs-md").inner_text()

    page.close()
    assert slow.stop() == 0
    assert "Traceback" not in slow.output
    slow.start()
    page = open_page(slow.url, page.context)
    # The model may have given the chat a title of its own by now.
    page.locator(f"a[href*='{conversation_id(address)}']").first.click()
    expect(answers(page).first).to_contain_text("Paris")
    expect(answers(page).last.locator(".fs-md")).to_have_text(stopped, use_inner_text=True)
    expect(page).to_have_url(address)
    expect(page.get_by_role("slider", name="Temperature", exact=True)).to_have_value("0")


def test_told_to_end_it_saves_the_growing_answers_and_ends_in_five_seconds(slow: Server, open_page: Open) -> None:
    pages = [open_page(slow.url) for _ in range(2)]
    for page in pages:
        ask(page, "Write a long story about a dragon and a knight.")
    for page in pages:
        expect(answers(page).locator(".fs-md")).to_have_text(lengthy(80), timeout=60_000)
    told = monotonic()
    assert slow.stop(signal.SIGTERM) == 0
    seconds = monotonic() - told
    print(f"ended in {seconds:.2f} s")
    assert seconds < 5
    assert "Traceback" not in slow.output
    seen = [answers(page).locator(".fs-md").inner_text() for page in pages]
    home = slow.log.parent / "home"
    # A clean end: one file with everything in it.
    assert not (home / "fireside.db-wal").exists()
    with Store.open(home) as store:
        assert (store.recovered, store.notices) == (0, [])
        saved = {}
        for conversation in store.conversations.list():
            answer = store.messages.get(store.messages.path(conversation.id)[-1].id)
            assert answer.status == "interrupted"
            assert answer.new_tokens == len(unpack_ids(answer.token_ids)) > 0
            saved[conversation.id] = answer.content
    for page, text in zip(pages, seen, strict=True):
        assert letters(saved[conversation_id(page.url)]).startswith(letters(text))


def test_two_tabs_and_an_overlong_prompt(real: Server, open_page: Open) -> None:
    first = open_page(real.url)
    second = open_page(real.url, first.context)
    ask(first, "Name three colours.")
    ask(second, "Name three animals.")
    wait_answered(first)
    wait_answered(second)
    expect(first.get_by_role("article", name="You")).to_have_text("Name three colours.")
    expect(second.get_by_role("article", name="You")).to_have_text("Name three animals.")
    texts = [answers(page).locator(".fs-md").inner_text() for page in (first, second)]
    for page, text in zip((first, second), texts, strict=True):
        page.reload()
        expect(answers(page)).to_have_count(1)
        expect(answers(page).locator(".fs-md")).to_have_text(text, use_inner_text=True)
    first.get_by_role("button", name="New chat").click()
    ask(first, "tree " * 9_000)
    failure = first.get_by_role("log").get_by_role("alert")
    expect(failure).to_contain_text("8,192", timeout=60_000)
    expect(first.get_by_role("article", name="You")).to_contain_text("tree tree")
    expect(message_box(first)).to_have_value("")


def letters(text: str) -> str:
    """Without what Markdown takes away or puts in."""
    return re.sub(r"\W", "", text)


def lengthy(characters: int) -> re.Pattern[str]:
    """Any text of at least so many characters."""
    return re.compile(rf".{{{characters},}}", re.DOTALL)
