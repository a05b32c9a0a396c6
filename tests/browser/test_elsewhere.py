"""The page with an engine elsewhere: llama.cpp's real server, and another Fireside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.app.remote.fireside import Fireside, fireside
from tests.app.remote.llama_cpp import LlamaServer, needs_llama_cpp

from .conftest import answers, ask, message_box, wait_answered

Open = Callable[..., Page]
pytestmark = needs_llama_cpp
STORY = "Write a very long story about a dragon and a knight."


@pytest.fixture(scope="module")
def llama(model_path: Path) -> Iterator[LlamaServer]:
    server = LlamaServer(model_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def first(llama: LlamaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fireside]:
    with fireside(tmp_path_factory.mktemp("first"), engine=llama.address) as running:
        yield running


@pytest.fixture(scope="module")
def second(llama: LlamaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fireside]:
    with fireside(tmp_path_factory.mktemp("second"), engine=llama.address) as running:
        yield running


def begun(page: Page, place: int = -1) -> str:
    """The text of an answer, once there are a few words."""
    text = answers(page).nth(place).locator(".fs-md")
    expect(text).to_have_text(re.compile(r".{30,}", re.DOTALL), timeout=60_000)
    return text.inner_text()


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop", exact=True).click()


def test_a_chat_a_stop_and_a_prompt_that_is_too_long(first: Fireside, llama: LlamaServer, open_page: Open) -> None:
    page = open_page(first.url)
    ask(page, "What is the capital of France?")
    wait_answered(page)
    expect(answers(page)).to_contain_text("Paris")
    ask(page, STORY)
    begun(page)
    stop(page)
    print(f"the slot was free {llama.wait_idle(2):.2f} s after the click")
    expect(answers(page).last).to_contain_text("Stopped.")
    page.get_by_role("button", name="New chat").click()
    ask(page, "tree " * 900)
    expect(page.get_by_role("log").get_by_role("alert")).to_contain_text("512", timeout=20_000)


def test_two_servers_on_it(first: Fireside, second: Fireside, llama: LlamaServer, open_page: Open) -> None:
    one, other = open_page(first.url), open_page(second.url)
    ask(one, STORY)
    ask(other, STORY)
    begun(one)
    begun(other)
    assert llama.busy == 2
    stop(one)
    expect(answers(one).last).to_contain_text("Stopped.")
    assert llama.busy == 1
    stop(other)
    llama.wait_idle(2)


def test_killed_in_mid_answer_and_started_again(first: Fireside, llama: LlamaServer, open_page: Open) -> None:
    page = open_page(first.url)
    ask(page, STORY)
    text = begun(page)
    llama.kill()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_hidden(timeout=20_000)
    expect(answers(page)).to_contain_text(text[:30])
    expect(answers(page)).to_contain_text("is kept")
    ask(page, "Are you there?")
    expect(page.get_by_role("log").get_by_role("alert").last).to_contain_text("is it running", timeout=20_000)
    llama.start()
    page.get_by_role("button", name="Try now").click()
    expect(page.locator(".fs-model-state")).not_to_have_class(re.compile("fs-is-failed"), timeout=20_000)
    ask(page, "What is the capital of France?")
    wait_answered(page, 3)
    expect(answers(page).last).to_contain_text("Paris")
    assert message_box(page).input_value() == ""
