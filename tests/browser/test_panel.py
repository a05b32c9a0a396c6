"""A message's own panel: what there is to see of one message, with an address of its own."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from .conftest import Server, answers, ask, message_box, wait_answered
from .test_sidebar import converse

Open = Callable[..., Page]


def test_the_panel_opens_from_the_message_and_back_closes_it(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "look at me")
    panel = page.get_by_role("dialog", name="This answer")
    look = answers(page).get_by_role("button", name="Look inside")
    look.press("Enter")
    expect(panel.get_by_role("tab", name="Figures", selected=True)).to_be_focused()
    for name in ("New tokens", "Speed", "Time to first token", "Reused from before", "Temperature", "Top-k", "Seed"):
        expect(panel).to_contain_text(name)
    expect(page).to_have_url(re.compile(r"/\?c=\w+&m=\w+&panel=figures$"))
    page.go_back()
    expect(panel).to_be_hidden()
    expect(look).to_be_focused()
    page.go_forward()
    expect(panel).to_be_visible()
    page.reload()
    expect(panel).to_contain_text("New tokens")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/\?c=\w+$"))
    # Another chat has no such message.
    answers(page).get_by_role("button", name=re.compile(r"^\d+ tokens")).click()
    expect(page).to_have_url(re.compile(r"&panel=figures$"))
    page.get_by_role("button", name="New chat").click()
    expect(panel).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/$"))
    page.go_back()
    expect(panel).to_be_visible()
    panel.get_by_role("button", name="Close panel").click()
    expect(panel).to_be_hidden()


def test_on_a_phone_the_panel_covers_the_page(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url, viewport={"width": 390, "height": 844}, has_touch=True)
    ask(page, "look at me closely")
    wait_answered(page)
    answers(page).get_by_role("button", name="Look inside").tap()
    panel = page.get_by_role("dialog", name="This answer")
    assert panel.bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 844}
    # What lies below is out of reach.
    expect(page.locator("#fs-main")).to_have_js_property("inert", True)
    panel.get_by_role("button", name="Close panel").tap()
    message_box(page).tap()
    expect(message_box(page)).to_be_focused()
