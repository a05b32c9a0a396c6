"""Everybody can use the page: axe-core finds nothing serious, the focus goes where it should, and all is reachable."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from .conftest import Server, answers, ask, message_box, wait_answered

Open = Callable[..., Page]
SERIOUS = ("serious", "critical")
DIALOG, MENU, PANEL, VIEW = "dialog[open]", "[role=menu]", ".fs-panel", ".fs-view"
PHONE = {"width": 390, "height": 844}


def violations(page: Page, view: str, *, within: str | None = None, themes: bool = False) -> list[str]:
    """What axe-core finds that keeps people out, a line each: where, which rule, and the elements.

    within: look at this part only, where the rest is as it was. themes: look at the colours in the other theme too, the
    only thing that differs there; it stays.
    """
    lines = _violations(page, view, within, {"resultTypes": ["violations"]})
    if themes:
        lines += _violations(page, f"{view}, {_change_theme(page)}", within, {"runOnly": ["color-contrast"]})
    return lines


def _change_theme(page: Page) -> Literal["light", "dark"]:
    """From light to dark, or back; which it is now."""
    dark = not page.evaluate("document.body.classList.contains('dark')")
    theme: Literal["light", "dark"] = "dark" if dark else "light"
    page.emulate_media(color_scheme=theme)
    # The theme follows the system a moment later, and colours change over some frames.
    page.wait_for_function("dark => document.body.classList.contains('dark') === dark", arg=dark)
    page.wait_for_function("() => document.getAnimations().every(each => each.playState === 'finished')")
    return theme


def _violations(page: Page, view: str, within: str | None, options: dict[str, object]) -> list[str]:
    return [
        f"{view}: {each['id']}: {node['html'][:160]} {node['any'][0]['message'] if node['any'] else ''}"
        for each in Axe().run(page, context=within, options=options).response["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"][:4]
    ]


def test_axe_finds_nothing_serious(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url, color_scheme="light", reduced_motion="reduce")
    found = violations(page, "a new chat", themes=True)
    ask(page, "markdown, please")
    wait_answered(page)
    answers(page).hover()
    answers(page).get_by_role("button", name="More").click()
    found += violations(page, "an answer and its menu", themes=True)
    page.keyboard.press("Escape")
    page.get_by_title("Figures of this answer").click()
    expect(page.get_by_role("tab", name="Figures")).to_be_visible()
    found += violations(page, "a message's panel", within=PANEL, themes=True)
    page.get_by_role("button", name="Close panel").click()
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_role("searchbox", name="Search chats").fill("markdown")
    expect(page.get_by_role("region", name="Messages")).to_be_visible()
    found += violations(page, "settings and a search", themes=True)
    page.get_by_role("button", name="Trash").click()
    expect(page.get_by_role("dialog", name="Trash")).to_be_visible()
    found += violations(page, "the trash", within=DIALOG, themes=True)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+/")
    found += violations(page, "the shortcuts", within=DIALOG, themes=True)
    assert "\n".join(found) == ""


def test_axe_finds_nothing_serious_in_any_dialog(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url, color_scheme="light", reduced_motion="reduce")
    found: list[str] = []
    page.get_by_role("button", name=re.compile("^Model: ")).click()
    expect(page.get_by_role("heading", name="An engine elsewhere")).to_be_visible()
    found += violations(page, "the models", within=DIALOG, themes=True)
    page.keyboard.press("Escape")
    ask(page, "markdown, please")
    wait_answered(page)
    for name in ("Import chats", "Export chats", "Filter the search"):
        page.get_by_role("button", name=name).click()
        expect(page.get_by_role("dialog", name=name)).to_be_visible()
        found += violations(page, name, within=DIALOG, themes=True)
        page.keyboard.press("Escape")
    message_box(page).fill("Which is better?")
    page.get_by_role("button", name="Compare answers to this").click()
    expect(page.get_by_role("dialog", name="Compare answers")).to_be_visible()
    found += violations(page, "the choice of what to compare", within=DIALOG, themes=True)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Settings", exact=True).click()
    for name in ("Chat menu", "Theme and language", "Preset menu"):
        page.get_by_role("button", name=name).first.click()
        expect(page.get_by_role("menu")).to_be_visible()
        found += violations(page, name, within=MENU, themes=True)
        page.keyboard.press("Escape")
    assert "\n".join(found) == ""


def test_axe_finds_nothing_serious_on_a_phone(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url, viewport=PHONE, color_scheme="light", reduced_motion="reduce")
    ask(page, "markdown, please")
    wait_answered(page)
    found = violations(page, "an answer", themes=True)
    page.get_by_role("button", name="Settings", exact=True).click()
    found += violations(page, "settings")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Toggle sidebar").click()
    expect(page.get_by_role("searchbox", name="Search chats")).to_be_visible()
    found += violations(page, "the list")
    assert "\n".join(found) == ""


def test_the_shortcuts_are_told_and_do_what_they_say(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    page.keyboard.press("Control+/")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_contain_text("Rename the chosen chat")
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    page.get_by_role("button", name="New chat").focus()
    page.keyboard.press("?")
    expect(sheet).to_be_visible()
    sheet.get_by_role("button", name="Close").click()
    # While somebody types, it is a question mark.
    message_box(page).press("?")
    expect(sheet).to_be_hidden()
    expect(message_box(page)).to_have_value("?")
    message_box(page).fill("")
    page.keyboard.press("Control+,")
    expect(page.get_by_role("slider", name="Temperature", exact=True)).to_be_visible()
    page.keyboard.press("Control+Shift+S")
    expect(page.get_by_role("searchbox", name="Search chats")).to_be_hidden()


def test_on_a_phone_the_focus_stays_in_what_lies_over_the_page(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url, viewport=PHONE)
    for opener, closer, inside in (
        ("Toggle sidebar", "Close sidebar", "#fs-side"),
        ("Settings", "Close settings", "#fs-drawer"),
    ):
        button = page.get_by_role("button", name=opener, exact=True)
        expect(button).to_have_attribute("aria-expanded", "false")
        button.click()
        expect(page.get_by_role("button", name=closer)).to_be_focused()
        for _ in range(30):
            page.keyboard.press("Tab")
            focused = "(side) => document.activeElement === document.body || !!document.activeElement.closest(side)"
            assert page.evaluate(focused, inside)
        # In the search box, Escape is for the box.
        page.get_by_role("button", name=closer).focus()
        page.keyboard.press("Escape")
        expect(button).to_be_focused()
        expect(button).to_have_attribute("aria-expanded", "false")


def test_the_end_of_an_answer_is_announced(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "announce me")
    wait_answered(page)
    expect(page.get_by_role("status").filter(has_text="Answer finished")).to_have_count(1)
    expect(page.get_by_role("log", name="Conversation")).to_have_attribute("aria-live", "off")


def test_the_page_can_be_installed_as_a_window(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    session = page.context.new_cdp_session(page)
    manifest = session.send("Page.getAppManifest")
    assert manifest["errors"] == []
    assert manifest["url"].endswith("/manifest.webmanifest")
    problems = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # Incognito windows, as tests have, never install anything.
    assert [each["errorId"] for each in problems if each["errorId"] != "in-incognito"] == []
