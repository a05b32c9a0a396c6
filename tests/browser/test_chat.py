"""What a person does in a conversation, with the scripted backend."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from .conftest import Server, answers, ask, message_box, wait_answered

Start = Callable[..., Server]
Open = Callable[..., Page]


def test_a_question_is_answered_and_kept(scripted: Start, open_page: Open) -> None:
    server = scripted()
    page = open_page(server.url)
    expect(page).to_have_title("Fireside")
    expect(page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()
    ask(page, "hello fire")
    wait_answered(page)
    expect(answers(page)).to_contain_text("You said: hello fire")
    expect(message_box(page)).to_have_value("")
    expect(page.get_by_role("status").filter(has_text="Answer finished")).to_be_attached()
    expect(page).to_have_url(re.compile(r"/\?c=\w+$"))
    expect(page.get_by_role("link", name="hello fire")).to_have_attribute("aria-current", "page")
    page.reload()
    expect(answers(page)).to_contain_text("You said: hello fire")
    page.close()
    assert server.stop() == 0
    server.start()
    page = open_page(server.url, page.context)
    page.get_by_role("link", name="hello fire").click()
    expect(answers(page)).to_contain_text("You said: hello fire")


def test_stop_keeps_what_there_is(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "a long one")
    expect(answers(page)).to_contain_text("word5")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(answers(page)).to_contain_text("Stopped.")
    expect(answers(page)).to_contain_text("word5")
    expect(answers(page)).not_to_contain_text("word399")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


def test_escape_stops(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "a long one")
    expect(answers(page)).to_contain_text("word3")
    page.keyboard.press("Escape")
    expect(answers(page)).to_contain_text("Stopped.")


def test_a_reload_in_mid_answer_goes_on(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "a long one")
    expect(answers(page)).to_contain_text("word20")
    page.reload()
    expect(answers(page)).to_contain_text("word20")
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    wait_answered(page)
    text = answers(page).locator(".fs-md").inner_text()
    assert text.split() == [f"word{number}" for number in range(400)]


def test_an_answer_goes_on_while_another_chat_is_open(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "first, a long one")
    expect(answers(page)).to_contain_text("word3")
    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_role("heading", name="What shall we talk about?")).to_be_visible()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_hidden()
    ask(page, "second")
    wait_answered(page)
    expect(answers(page)).to_contain_text("You said: second")
    page.go_back()
    page.get_by_role("link", name="first, a long one").click()
    expect(answers(page)).to_contain_text("word399", timeout=60_000)
    expect(answers(page)).not_to_contain_text("You said")


def test_a_question_that_is_counted_waits_for_no_model(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    expect(page.get_by_role("img", name=re.compile("of 2,048 tokens of context"))).to_be_visible()
    held: list[Route] = []
    page.route("**/stream/**", lambda route: held.append(route))
    ask(page, "hold on")
    expect(answers(page)).to_contain_text("Reading")
    for route in held:
        route.continue_()
    wait_answered(page)


def test_regenerate_keeps_the_old_version(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "again")
    wait_answered(page)
    page.get_by_role("button", name="Regenerate").click()
    expect(page.get_by_label("Version 2 of 2")).to_be_visible()
    page.get_by_role("button", name="Previous version").click()
    expect(page.get_by_label("Version 1 of 2")).to_be_visible()
    expect(answers(page)).to_have_count(1)


def copied(page: Page, beginning: str) -> None:
    """Wait until what begins so is in the clipboard."""
    page.wait_for_function(
        "async (beginning) => (await navigator.clipboard.readText()).startsWith(beginning)", arg=beginning
    )


def test_copy_and_figures(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url, permissions=["clipboard-read", "clipboard-write"])
    ask(page, "some markdown")
    wait_answered(page)
    answers(page).get_by_role("button", name="Copy", exact=True).click()
    copied(page, "A **key–value cache**")
    page.get_by_role("button", name="Copy code").click()
    copied(page, "def attend")
    page.get_by_role("button", name=re.compile(r"^\d+ tokens")).click()
    figures = page.get_by_role("dialog", name="This answer")
    for name in ("Speed", "Time to first token", "Reused from before", "Seed"):
        expect(figures).to_contain_text(name)
    page.keyboard.press("Escape")
    expect(figures).to_be_hidden()


def test_refused_messages_stay_in_the_box(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "   ")
    expect(page.get_by_role("alert")).to_contain_text("The message is empty")
    expect(message_box(page)).to_have_value("   ")
    large = "y" * 2_000_000
    ask(page, large)
    expect(page.get_by_role("alert").filter(has_text="2,000,000 characters")).to_be_visible()
    assert message_box(page).input_value() == large


def test_an_overlong_prompt_is_kept_with_its_error(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "word " * 3_000)
    failure = page.get_by_role("log").get_by_role("alert")
    expect(failure).to_contain_text("2,048")
    expect(failure.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.get_by_role("article", name="You")).to_contain_text("word word")
    page.reload()
    expect(page.get_by_role("log").get_by_role("alert")).to_contain_text("2,048")


def test_sending_while_the_model_loads_waits_for_it(scripted: Start, open_page: Open) -> None:
    page = open_page(scripted(loading=12.0).url)
    expect(page.get_by_text("Loading…")).to_be_visible()
    ask(page, "early bird")
    expect(answers(page)).to_contain_text("Waiting for the model to load")
    wait_answered(page)
    expect(answers(page)).to_contain_text("You said: early bird")


def test_a_server_that_goes_and_comes_back(scripted: Start, open_page: Open) -> None:
    server = scripted()
    page = open_page(server.url)
    ask(page, "a long one")
    expect(answers(page)).to_contain_text("word10")
    server.stop(signal.SIGKILL)
    expect(page.get_by_text("Fireside is not running")).to_be_visible()
    expect(answers(page)).to_contain_text("word10")
    server.start()
    expect(page.get_by_text("Fireside is not running")).to_be_hidden()
    expect(answers(page)).to_contain_text("Interrupted")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    ask(page, "back again")
    wait_answered(page, 2)
    expect(answers(page).last).to_contain_text("You said: back again")


def test_what_was_typed_outlives_a_restart(scripted: Start, open_page: Open) -> None:
    server = scripted()
    page = open_page(server.url)
    server.stop()
    ask(page, "are you there")
    expect(page.get_by_text("Connection to the server was lost")).to_be_visible()
    expect(page.get_by_text("Fireside is not running. Your chats")).to_be_visible(timeout=15_000)
    expect(message_box(page)).to_have_value("are you there")
    server.start()
    expect(page.get_by_text("Fireside is not running. Your chats")).to_be_hidden(timeout=20_000)
    expect(message_box(page)).to_have_value("are you there")
    message_box(page).press("Enter")
    wait_answered(page)
    expect(answers(page)).to_contain_text("You said: are you there")


def test_a_clean_stop_saves_the_partial_answer(scripted: Start, open_page: Open) -> None:
    server = scripted()
    page = open_page(server.url)
    ask(page, "a long one")
    expect(answers(page)).to_contain_text("word10")
    assert server.stop(signal.SIGINT) == 0
    assert "Traceback" not in server.output
    server.start()
    expect(answers(page)).to_contain_text("Interrupted")
    expect(answers(page)).to_contain_text("word10")


def test_shift_enter_breaks_the_line(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    expect(message_box(page)).to_be_focused()
    message_box(page).type("one")
    message_box(page).press("Shift+Enter")
    message_box(page).type("two")
    expect(message_box(page)).to_have_value("one\ntwo")
    message_box(page).press("Enter")
    wait_answered(page)
    expect(answers(page)).to_contain_text("You said: one")


def test_a_starter_prompt_sends(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    page.get_by_role("button", name="Explain simply").click()
    wait_answered(page)
    expect(answers(page)).to_contain_text("You said: Explain photosynthesis")
