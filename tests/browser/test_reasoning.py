"""What a reasoning model thinks stands apart from its answer, folded."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from .conftest import Server, answers, ask, wait_answered

Open = Callable[..., Page]


def test_thoughts_stand_folded_above_the_answer(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "think of a fire")
    summary = answers(page).locator("summary")
    expect(summary).to_have_text("Thinking")
    wait_answered(page)
    expect(summary).to_have_text(re.compile(r"Thought for \d+ s"))
    body = answers(page).locator(".fs-md").last
    expect(body).to_have_text("Light the tinder from below.")
    expect(answers(page).get_by_text("Dry wood first")).to_be_hidden()
    summary.focus()
    page.keyboard.press("Enter")
    expect(answers(page).get_by_text("Dry wood first")).to_be_visible()
    expect(answers(page).locator(".fs-thoughts strong")).to_have_text("campfire")
    page.keyboard.press("Enter")
    expect(answers(page).get_by_text("Dry wood first")).to_be_hidden()
    assert page.evaluate("window.pwned") is None


def test_thoughts_are_there_after_a_reload_in_their_midst_and_after_the_end(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "think of a fire")
    expect(answers(page).locator("summary")).to_have_text("Thinking")
    page.reload()
    wait_answered(page)
    answers(page).locator("summary").click()
    expect(answers(page).get_by_text("The user wants a campfire")).to_be_visible()
    page.reload()
    expect(answers(page).locator(".fs-md").last).to_have_text("Light the tinder from below.")
    answers(page).locator("summary").click()
    expect(answers(page).locator(".fs-thoughts")).to_contain_text("The user wants a campfire")


def test_an_answer_without_thoughts_shows_no_trace_of_them(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "hello")
    wait_answered(page)
    expect(answers(page).locator("details")).to_have_count(0)
