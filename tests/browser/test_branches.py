"""Versions, edits, deletions and what was found: used on the page as a person would."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from .conftest import Server, answers, ask, wait_answered
from .test_sidebar import converse, links, menu

Open = Callable[..., Page]


def questions(page: Page) -> Locator:
    return page.get_by_role("log").get_by_role("article", name="You")


def choose(message: Locator, entry: str) -> None:
    """An entry of a message's menu."""
    message.hover()
    message.get_by_role("button", name="More").click()
    message.page.get_by_role("menuitem", name=entry).click()


def edit(message: Locator, text: str, action: str) -> None:
    message.hover()
    message.get_by_role("button", name="Edit").click()
    message.get_by_role("textbox", name="Edit message").fill(text)
    message.get_by_role("button", name=action).click()


def test_either_role_is_edited_and_undone(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "first wording")
    edit(questions(page), "second wording", "Send")
    expect(answers(page)).to_contain_text("You said: second wording")
    wait_answered(page)
    expect(questions(page).get_by_label("Version 2 of 2")).to_be_attached()
    questions(page).hover()
    questions(page).get_by_role("button", name="Previous version").click()
    expect(answers(page)).to_contain_text("You said: first wording")
    edit(answers(page), "my own answer", "Save")
    expect(answers(page)).to_contain_text("my own answer")
    page.get_by_role("button", name="Undo").last.click()
    expect(answers(page)).to_contain_text("You said: first wording")
    expect(answers(page).get_by_label("Version 1 of 2")).to_be_visible()


def test_the_focus_stays_with_what_is_done_by_keys(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "by keys alone")
    answers(page).get_by_role("button", name="Regenerate").press("Enter")
    expect(page.get_by_label("Version 2 of 2")).to_be_visible()
    wait_answered(page)
    expect(answers(page)).to_be_focused()
    answers(page).get_by_role("button", name="Previous version").press("Enter")
    # There is none before it, and its button cannot have the focus.
    expect(page.get_by_label("Version 1 of 2")).to_be_visible()
    expect(answers(page).get_by_role("button", name="Next version")).to_be_focused()
    answers(page).get_by_role("button", name="Edit").press("Enter")
    expect(page.get_by_role("textbox", name="Edit message")).to_be_focused()
    page.keyboard.press("Escape")
    expect(answers(page).get_by_role("button", name="Edit")).to_be_focused()
    answers(page).get_by_role("button", name="More").press("Enter")
    page.get_by_role("menuitem", name="Delete only this").press("Enter")
    # The other version is in its place.
    expect(page.get_by_label(re.compile("^Version"))).to_have_count(0)
    expect(answers(page).get_by_role("button", name="More")).to_be_focused()
    page.get_by_role("button", name="Undo").press("Enter")
    expect(page.get_by_label("Version 1 of 2")).to_be_visible()
    expect(answers(page).get_by_role("button", name="More")).to_be_focused()


def test_a_stopped_answer_goes_on(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "a long one to stop")
    expect(answers(page)).to_contain_text("word10")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(answers(page)).to_contain_text("Stopped.")
    page.get_by_role("button", name="Continue").click()
    expect(answers(page)).to_contain_text("word399", timeout=60_000)
    wait_answered(page)
    expect(answers(page).locator(".fs-md")).to_have_text(" ".join(f"word{number}" for number in range(400)))


def test_delete_branch_and_memory(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "one stone")
    ask(page, "two stones")
    wait_answered(page, 2)
    choose(questions(page).last, "Delete from here on")
    expect(answers(page)).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(answers(page)).to_have_count(2)
    choose(questions(page).first, "Leave out of memory")
    expect(questions(page).first).to_contain_text("Left out of the model's memory")
    address = page.url
    choose(answers(page).first, "Branch from here")
    expect(answers(page)).to_have_count(1)
    expect(page).not_to_have_url(address)


def test_where_the_models_memory_begins(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "word " * 900)
    ask(page, "again " * 900)
    wait_answered(page, 2)
    line = page.get_by_role("separator").filter(has_text="The model's memory begins here")
    expect(line).to_be_visible()
    page.reload()
    expect(line).to_be_attached()


def test_a_message_is_found_in_its_branch(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "the heron stands")
    edit(questions(page), "the crane stands", "Send")
    expect(answers(page)).to_contain_text("You said: the crane stands")
    wait_answered(page)
    page.get_by_role("searchbox", name="Search chats").fill("heron")
    hits = page.get_by_role("region", name="Messages").get_by_role("button")
    expect(hits.first).to_contain_text("heron")
    hits.first.click()
    expect(answers(page)).to_contain_text("You said: the heron stands")


def test_a_search_is_narrowed_by_filters(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "the osprey dives")
    page.get_by_role("searchbox", name="Search chats").fill("osprey")
    hits = page.get_by_role("region", name="Messages").get_by_role("button")
    expect(hits).to_have_count(2)
    page.get_by_role("button", name="Filter the search").click()
    dialog = page.get_by_role("dialog", name="Filter the search")
    dialog.get_by_label("Written by").select_option("You")
    dialog.get_by_label("The open chat").check()
    dialog.get_by_role("button", name="Apply").click()
    expect(hits).to_have_count(1)
    expect(hits).to_contain_text("You")
    page.get_by_role("button", name="Filter the search").click()
    dialog.get_by_label("Model", exact=True).select_option("scripted")
    dialog.get_by_role("button", name="Apply").click()
    # Nobody but the model has a model.
    expect(page.get_by_text("No chat has these words.")).to_be_visible()
    page.get_by_role("button", name="By you").click()
    expect(hits).to_have_count(1)
    expect(hits).to_contain_text("Fireside")
    page.get_by_role("button", name="Filter the search").click()
    dialog.get_by_label("To", exact=True).fill("2020-02-02")
    dialog.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("No chat has these words.")).to_be_visible()
    page.get_by_role("button", name="Filter the search").click()
    dialog.get_by_role("button", name="Clear").click()
    expect(hits).to_have_count(2)


def test_archive_tags_trash_and_a_title_of_the_models(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "of a campfire")
    expect(links(page).filter(has_text="Sparks in the dark")).to_be_visible(timeout=15_000)
    menu(page, "Sparks in the dark", "Tags…")
    page.get_by_role("textbox", name="Tags").fill("night, fire")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="night").click()
    expect(links(page)).to_have_text([re.compile("Sparks in the dark")])
    page.get_by_role("searchbox", name="Search chats").fill("")
    menu(page, "Sparks in the dark", "Archive")
    expect(links(page).filter(has_text="Sparks in the dark")).to_have_count(0)
    page.get_by_role("button", name="Archive", exact=True).click()
    expect(links(page)).to_have_text(["Sparks in the dark"])
    menu(page, "Sparks in the dark", "Delete")
    page.get_by_role("button", name="Trash").click()
    trash = page.get_by_role("dialog", name="Trash")
    expect(trash).to_contain_text("Sparks in the dark")
    trash.get_by_role("button", name="Empty trash").click()
    trash.get_by_role("button", name="Erase for good?").click()
    expect(trash).to_contain_text("The trash is empty.")
