"""A disk without room, and a damaged database, as a person meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.store import Store
from tests.small_file_system import fill, free, small_file_system

from .conftest import Server, answers, ask, message_box, wait_answered


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A small file system where the first `scripted` server keeps its data; there before it, and longer."""
    with small_file_system(tmp_path / "0" / "data", megabytes=4) as folder:
        yield folder


def test_a_damaged_database_is_told_and_its_backup_in_use(
    tmp_path: Path, scripted: Callable[..., Server], open_page: Callable[..., Page]
) -> None:
    data = tmp_path / "0" / "data"
    with Store.open(data) as store:
        chat = store.conversations.create(title="Oaks")
        store.messages.add(chat.id, parent_id=None, role="user", content="What is an oak?")
        store.backups.make()
    (data / "fireside.db").write_text("not a database any more")
    page = open_page(scripted().url)
    told = page.get_by_role("alert").filter(has_text="The database was damaged")
    expect(told).to_contain_text("1 messages, is in use instead")
    page.get_by_role("link", name="Oaks").click()
    expect(page.get_by_role("article", name="You")).to_have_text("What is an oak?")
    told.get_by_role("button", name="Dismiss").click()
    expect(told).to_be_hidden()


def test_a_refused_message_stays_in_the_box_and_goes_once_there_is_room(
    data: Path, scripted: Callable[..., Server], open_page: Callable[..., Page]
) -> None:
    page = open_page(scripted().url)
    ask(page, "before")
    wait_answered(page)
    fill(data)
    words = "what becomes of this " * 300
    ask(page, words)
    expect(page.get_by_role("alert").filter(has_text="is full")).to_be_visible()
    expect(message_box(page)).to_have_value(words)
    # What was said before can be read, also by another page.
    expect(answers(open_page(page.url))).to_contain_text("You said: before")
    free(data)
    message_box(page).press("Enter")
    wait_answered(page, 2)
    expect(answers(page).last).to_contain_text("You said: what becomes of this")
    expect(message_box(page)).to_have_value("")
