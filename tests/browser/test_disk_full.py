"""A disk without room, as a person meets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.small_file_system import fill, free, small_file_system

from .conftest import Server, answers, ask, message_box, wait_answered


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A small file system where the first `scripted` server keeps its data; there before it, and longer."""
    with small_file_system(tmp_path / "0" / "data", megabytes=4) as folder:
        yield folder


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
