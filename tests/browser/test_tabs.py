"""Several tabs show the same truth, and the list tells what happens in chats that are not open."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from .conftest import Server, answers, ask, message_box, wait_answered

Open = Callable[..., Page]


def entry(page: Page, title: str) -> Locator:
    return page.get_by_role("listitem").filter(has=page.get_by_role("link", name=title, exact=True))


def choose(page: Page, title: str, action: str) -> None:
    entry(page, title).hover()
    entry(page, title).get_by_role("button", name="Chat menu").click()
    page.get_by_role("menuitem", name=action).click()


def test_what_one_tab_does_the_other_shows(shared: Server, open_page: Open) -> None:
    first = open_page(shared.url)
    ask(first, "spoken in one tab")
    wait_answered(first)
    second = open_page(first.url, first.context)
    wait_answered(second)
    # Renamed in one.
    choose(second, "spoken in one tab", "Rename")
    second.get_by_role("textbox", name="Chat title").fill("known in both")
    second.keyboard.press("Enter")
    expect(entry(first, "known in both")).to_be_visible()
    expect(first).to_have_title("known in both · Fireside")
    # Answered in one, what is typed in the other stays.
    message_box(first).fill("a draft")
    ask(second, "said in the second")
    expect(first.get_by_role("article", name="You")).to_have_count(2)
    wait_answered(first, 2)
    expect(answers(first).last).to_contain_text("You said: said in the second")
    expect(message_box(first)).to_have_value("a draft")
    # Edited in one: what the other does takes the cursor from nobody.
    first.bring_to_front()
    edited = first.get_by_role("article", name="You").first
    edited.get_by_role("button", name="Edit").press("Enter")
    choose(second, "known in both", "Pin")
    ask(second, "said once more")
    wait_answered(first, 3)
    expect(first.get_by_role("textbox", name="Edit message")).to_be_focused()
    first.keyboard.press("Escape")
    # Deleted in one, told in the other, and taken back there.
    choose(second, "known in both", "Delete")
    told = first.get_by_role("alert").filter(has_text="deleted in another tab")
    expect(told).to_be_visible()
    expect(message_box(first)).to_have_value("a draft")
    expect(first.get_by_role("heading", name="What shall we talk about?")).to_be_visible()
    told.get_by_role("button", name="Undo").click()
    expect(entry(second, "known in both")).to_be_visible()


def test_chats_that_answer_at_once_show_it_and_are_marked_when_done(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    for question in ("one long walk", "two long walks"):
        page.get_by_role("button", name="New chat").click()
        expect(page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()
        ask(page, question)
        expect(answers(page)).to_contain_text("word3")
    for question in ("one long walk", "two long walks"):
        expect(entry(page, question).get_by_role("img", name="being answered")).to_be_visible()
    expect(entry(page, "one long walk").get_by_role("img", name="new answer")).to_be_visible(timeout=30_000)
    wait_answered(page)
    # The one that is looked at has nothing new.
    expect(entry(page, "two long walks").get_by_role("img")).to_have_count(0)
    page.reload()
    expect(entry(page, "one long walk").get_by_role("img", name="new answer")).to_be_visible()
    page.get_by_role("link", name="one long walk").click()
    wait_answered(page)
    expect(entry(page, "one long walk").get_by_role("img")).to_have_count(0)


def test_eight_tabs_load_and_are_in_step(shared: Server, open_page: Open) -> None:
    """More than the six connections a browser makes to one server."""
    tabs = [open_page(shared.url)]
    tabs += [open_page(shared.url, tabs[0].context) for _ in range(7)]
    ask(tabs[-1], "seen in every tab")
    for tab in tabs:
        expect(entry(tab, "seen in every tab").first).to_be_visible()
