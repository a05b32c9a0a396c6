"""The message box: drafts, files, messages that wait, the count of tokens."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from .conftest import Server, answers, ask, message_box, wait_answered
from .test_sidebar import converse

Open = Callable[..., Page]


def send_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Send", exact=True)


def waiting(page: Page) -> Locator:
    return page.get_by_role("list", name="Messages that wait").get_by_role("listitem")


def attach(page: Page, name: str, content: bytes) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach text files").click()
    chooser.value.set_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})


def test_a_draft_belongs_to_its_conversation_and_outlives_a_reload(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    converse(page, "drafts here")
    message_box(page).fill("half a thought")
    attach(page, "notes.txt", b"dry wood")
    page.get_by_role("button", name="New chat").click()
    expect(message_box(page)).to_have_value("")
    message_box(page).fill("something new")
    page.reload()
    expect(message_box(page)).to_have_value("something new")
    page.get_by_role("link", name="drafts here").click()
    expect(message_box(page)).to_have_value("half a thought")
    files = page.get_by_role("list", name="Attached files")
    expect(files).to_contain_text("notes.txt")
    files.get_by_role("button", name="Remove notes.txt").click()
    expect(files).to_be_hidden()


def test_messages_wait_for_the_answer(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "a long one, to wait for")
    expect(answers(page)).to_contain_text("word3")
    for text in ("second", "third", "fourth"):
        ask(page, text)
    expect(waiting(page)).to_have_count(3)
    expect(message_box(page)).to_have_value("")
    # Up takes the last one back; the second is given up, and that is taken back.
    message_box(page).press("ArrowUp")
    expect(message_box(page)).to_have_value("fourth")
    message_box(page).fill("")
    waiting(page).last.get_by_role("button", name="Do not send").click()
    page.get_by_role("button", name="Undo").click()
    expect(waiting(page)).to_have_count(2)
    page.reload()
    expect(waiting(page)).to_have_count(2)
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_answered(page, 3)
    expect(waiting(page)).to_have_count(0)
    expect(page.get_by_role("article", name="You")).to_contain_text(["a long one", "second", "third"])


def test_files_are_quoted_and_folded(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    page.get_by_role("button", name="New chat").click()
    attach(page, "picture.png", b"\x89PNG\r\n\x1a\n\x00\x00")
    expect(page.get_by_role("alert")).to_contain_text("picture.png is not a text file")
    attach(page, "huge.txt", b"x" * 1_100_001)
    expect(page.get_by_role("alert").last).to_contain_text("huge.txt is too large")
    # Dropped on the box, as from a folder.
    drop = """(dock) => {
      const data = new DataTransfer();
      data.items.add(new File(["the ```oak``` burns slowly"], "woods <b>.md"));
      for (const kind of ["dragenter", "dragover", "drop"])
        dock.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    page.locator("#fs-dock").evaluate(drop)
    expect(page.get_by_role("list", name="Attached files")).to_contain_text("woods <b>.md")
    ask(page, "which wood")
    wait_answered(page)
    expect(page.get_by_role("list", name="Attached files")).to_be_hidden()
    question = page.get_by_role("article", name="You")
    expect(question.get_by_text("the ```oak``` burns slowly")).to_be_hidden()
    question.get_by_text("woods <b>.md").click()
    expect(question.get_by_text("the ```oak``` burns slowly")).to_be_visible()
    # The model has read it with its name; editing keeps it.
    expect(answers(page)).to_contain_text("burns slowly")
    message_box(page).press("ArrowUp")
    editor = question.get_by_role("textbox", name="Edit message")
    expect(editor).to_have_value("which wood")
    editor.fill("which wood, again")
    question.get_by_role("button", name="Send").click()
    expect(page.get_by_label("Version 2 of 2")).to_be_attached()
    expect(question).to_contain_text("woods <b>.md")


def test_tokens_are_counted_against_the_context(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    count = page.locator("#fs-count")
    message_box(page).fill("one two three")
    expect(count).to_have_text(re.compile(r"^3 tokens · 3 of 2,048 with this chat$"))
    beside = page.get_by_text("Runs on this computer. Answers can be wrong.").bounding_box()
    counted = count.bounding_box()
    assert beside is not None
    assert counted is not None
    assert beside["x"] + beside["width"] <= counted["x"]
    message_box(page).fill("word " * 2_500)
    expect(count).to_have_text("2,500 tokens: more than the model's context of 2,048")
    message_box(page).fill("")
    expect(count).to_be_hidden()


def test_a_paste_of_a_megabyte_does_not_freeze_the_page(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    page.get_by_role("button", name="New chat").click()
    paste = """async (box) => {
      const data = new DataTransfer();
      data.setData("text/plain", "long line of words ".repeat(52_631));
      const begun = performance.now();
      box.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      return performance.now() - begun;
    }"""
    assert message_box(page).evaluate(paste) < 1_000
    files = page.get_by_role("list", name="Attached files")
    expect(files).to_contain_text("Pasted text")
    expect(files).to_contain_text("999,989 characters")
    message_box(page).fill("still typing")
    files.get_by_role("button", name="Remove Pasted text").click()
    expect(message_box(page)).to_have_value("still typing")


def test_what_cannot_be_sent_stays(scripted: Callable[..., Server], open_page: Open) -> None:
    server = scripted()
    page = open_page(server.url)
    converse(page, "before it goes")
    # From here on nobody tells this page what others change.
    page.route("**/changes", lambda route: None)
    server.stop()
    ask(page, "into the void")
    expect(page.get_by_role("alert").filter(has_text="Not sent: Fireside is not running.")).to_be_visible(
        timeout=15_000
    )
    expect(message_box(page)).to_have_value("into the void")
    server.start()
    expect(page.get_by_text("Fireside is not running. Your chats")).to_be_hidden(timeout=15_000)
    expect(message_box(page)).to_have_value("into the void")
    message_box(page).press("Enter")
    wait_answered(page, 2)
    # Another browser deletes the chat.
    other = open_page(page.url)
    row = other.get_by_role("listitem").filter(has=other.get_by_role("link", name="before it goes", exact=True))
    row.hover()
    row.get_by_role("button", name="Chat menu").click()
    other.get_by_role("menuitem", name="Delete").click()
    expect(row).to_have_count(0)
    ask(page, "to a chat that is gone")
    expect(page.get_by_role("alert").filter(has_text="may have been deleted")).to_be_visible()
    expect(message_box(page)).to_have_value("to a chat that is gone")
