"""The list of conversations: search, rename, pin, export, delete and undo, keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from .conftest import Server, answers, ask, held_up, message_box, wait_answered

Open = Callable[..., Page]


def links(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Conversations").get_by_role("link")


def open_menu(page: Page, title: str) -> Locator:
    """Open the menu of a conversation; its row."""
    row = page.get_by_role("listitem").filter(has=page.get_by_role("link", name=title, exact=True))
    row.hover()
    row.get_by_role("button", name="Chat menu").click()
    return row


def menu(page: Page, title: str, entry: str) -> None:
    """Choose an entry of a conversation's menu."""
    open_menu(page, title)
    page.get_by_role("menuitem", name=entry).click()


def converse(page: Page, text: str) -> None:
    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()
    ask(page, text)
    wait_answered(page)


def test_search_finds_titles_and_text(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "alpine flowers")
    converse(page, "tell me about the kv cache")
    search = page.get_by_role("searchbox", name="Search chats")
    page.keyboard.press("Control+k")
    expect(search).to_be_focused()
    search.fill("alpine")
    expect(links(page)).to_have_text(["alpine flowers"])
    search.fill("memory bandwidth")
    expect(links(page)).to_have_text(["tell me about the kv cache"])
    search.fill("no such word anywhere")
    expect(page.get_by_text("No chat has these words.")).to_be_visible()
    search.press("Escape")
    expect(links(page).filter(has_text="alpine flowers")).to_be_visible()


def test_rename_pin_and_export(shared: Server, open_page: Open, tmp_path: Path) -> None:
    page = open_page(shared.url)
    converse(page, "before the name")
    menu(page, "before the name", "Rename")
    field = page.get_by_role("textbox", name="Chat title")
    field.fill("A <b>new</b> name")
    field.press("Enter")
    expect(links(page).first).to_have_text("A <b>new</b> name")
    menu(page, "A <b>new</b> name", "Pin")
    pinned = page.get_by_role("region", name="Pinned")
    expect(pinned.get_by_role("link")).to_have_text(["A <b>new</b> name"])
    menu(page, "A <b>new</b> name", "Export…")
    with page.expect_download() as download:
        page.get_by_role("dialog", name="Export chats").get_by_role("link", name="Download").click()
    target = tmp_path / "chat.md"
    download.value.save_as(target)
    assert "You said: before the name" in target.read_text()
    page.reload()
    expect(pinned.get_by_role("link")).to_have_text(["A <b>new</b> name"])
    menu(page, "A <b>new</b> name", "Unpin")
    expect(pinned).to_be_hidden()


def test_a_menu_that_was_opened_before_the_answer_ended_still_renames(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "think of a name")
    row = open_menu(page, "think of a name")
    wait_answered(page)
    expect(row.get_by_role("img", name="being answered")).to_be_hidden()
    page.get_by_role("menuitem", name="Rename").click()
    field = page.get_by_role("textbox", name="Chat title")
    expect(field).to_have_value("think of a name")
    field.fill("A better name")
    field.press("Enter")
    expect(links(page).first).to_have_text("A better name")


def test_delete_can_be_undone(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "to be deleted")
    address = page.url
    menu(page, "to be deleted", "Delete")
    expect(links(page).filter(has_text="to be deleted")).to_have_count(0)
    expect(page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("link", name="to be deleted").click()
    expect(answers(page)).to_contain_text("You said: to be deleted")
    menu(page, "to be deleted", "Delete")
    expect(links(page).filter(has_text="to be deleted")).to_have_count(0)
    page.goto(address)
    expect(page.get_by_role("alert")).to_contain_text("not here any more")


def test_back_and_forward(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "walk one")
    converse(page, "walk two")
    page.get_by_role("link", name="walk one").click()
    expect(answers(page)).to_contain_text("You said: walk one")
    page.go_back()
    expect(answers(page)).to_contain_text("You said: walk two")
    page.go_forward()
    expect(answers(page)).to_contain_text("You said: walk one")
    expect(page.get_by_role("link", name="walk one")).to_have_attribute("aria-current", "page")


def test_going_back_counts_though_the_new_chat_is_still_asked_for(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "stay with me")
    address = page.url
    # In one moment: nothing that the server says can come in between.
    page.get_by_role("button", name="New chat").evaluate("(button) => { button.click(); history.back(); }")
    expect(answers(page)).to_contain_text("You said: stay with me")
    expect(page.get_by_role("link", name="stay with me")).to_have_attribute("aria-current", "page")
    expect(page).to_have_url(address)


def test_a_new_chat_is_not_overtaken_by_the_message_before_it(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    with held_up(page):
        ask(page, "sent and left")
        page.get_by_role("button", name="New chat").click()
    expect(links(page).first).to_have_text("sent and left")
    expect(page.get_by_role("img", name="new answer").first).to_be_visible()
    expect(answers(page)).to_have_count(0)
    expect(page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()
    expect(message_box(page)).to_have_value("")
    ask(page, "and begun anew")
    wait_answered(page)
    expect(answers(page)).to_contain_text("You said: and begun anew")


def test_the_list_is_walked_by_keys(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "below them")
    converse(page, "walked upon one")
    converse(page, "walked upon two")
    search = page.get_by_role("searchbox", name="Search chats")
    search.fill("walked upon")
    expect(links(page)).to_have_text(["walked upon two", "walked upon one"])
    found = page.get_by_role("region", name="Messages").get_by_role("button")
    expect(found).to_have_count(4)
    search.press("ArrowDown")
    expect(links(page).first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(found.first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="walked upon two")).to_have_attribute("aria-current", "page")
    # Where a chat leaves the list, the focus goes to the next.
    links(page).last.focus()
    search.fill("")
    expect(links(page).filter(has_text="below them")).to_be_visible()
    row = page.get_by_role("listitem").filter(has=page.get_by_role("link", name="walked upon one"))
    row.get_by_role("button", name="Chat menu").press("Enter")
    page.get_by_role("menuitem", name="Archive").press("Enter")
    expect(links(page).filter(has_text="walked upon one")).to_have_count(0)
    expect(page.get_by_role("link", name="below them")).to_be_focused()


def test_keys(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "with keys")
    page.keyboard.press("Control+Shift+O")
    expect(page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()
    expect(message_box(page)).to_be_focused()
    page.get_by_role("link", name="with keys").focus()
    page.keyboard.press("/")
    expect(message_box(page)).to_be_focused()
    expect(message_box(page)).to_have_value("")
    page.get_by_role("link", name="with keys").focus()
    page.keyboard.press("F2")
    expect(page.get_by_role("textbox", name="Chat title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="with keys")).to_be_visible()


def test_two_tabs_on_two_conversations(shared: Server, open_page: Open) -> None:
    first = open_page(shared.url)
    second = open_page(shared.url, first.context)
    ask(first, "left, a long one")
    ask(second, "right side")
    wait_answered(second)
    expect(answers(second)).to_contain_text("You said: right side")
    wait_answered(first)
    expect(answers(first).locator(".fs-md")).to_have_text(" ".join(f"word{number}" for number in range(400)))
    expect(answers(second)).to_have_count(1)
