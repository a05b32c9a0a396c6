"""The page with an engine elsewhere: llama.cpp's real server, and another Fireside."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import jsonschema_rs
import pytest
from playwright.sync_api import Page, expect

from app.fake import ScriptedBackend
from tests.app.api.conftest import client_of
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
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("slider", name="Temperature", exact=True).fill("0")
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
    llama.wait_idle(2, but=1)
    stop(other)
    llama.wait_idle(2)


@pytest.mark.slow
def test_tokens_comparison_export_and_import_work_as_with_a_model_of_ones_own(
    first: Fireside, second: Fireside, open_page: Open
) -> None:
    page = open_page(first.url)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_role("slider", name="Max new tokens", exact=True).fill("12")
    ask(page, "Say hello in five words.")
    wait_answered(page)
    answers(page).last.hover()
    answers(page).last.get_by_role("button", name="Look inside").click()
    page.get_by_role("tab", name="Tokens").click()
    tokens = page.get_by_role("tabpanel").locator(".fs-token")
    tokens.nth(2).click()
    expect(page.get_by_role("dialog", name="Alternatives at position 3").locator(".fs-candidate").first).to_be_visible()
    page.keyboard.press("Escape")

    message_box(page).fill("Name a colour.")
    page.get_by_role("button", name="Compare answers to this").click()
    dialog = page.get_by_role("dialog", name="Compare answers")
    dialog.get_by_role("button", name="Compare", exact=True).click()
    columns = page.get_by_role("region", name="Compare answers").get_by_role("article")
    expect(columns).to_have_count(2)
    use = columns.last.get_by_role("button", name="Use this one")
    expect(use).to_be_enabled(timeout=60_000)
    use.click()
    expect(answers(page).last.get_by_label("Version 2 of 2")).to_be_attached()

    [chat] = [each for each in first.store.conversations.list() if each.title.startswith("Say hello")]
    exported = page.request.get(f"{first.url}/export/json/{chat.id}")
    assert exported.ok
    brought = page.request.post(
        f"{second.url}/import?name=chats.json",
        data=exported.body(),
        headers={"Content-Type": "application/octet-stream"},
    )
    assert brought.ok, brought.text()
    [copy] = [each for each in second.store.conversations.list() if each.title.startswith("Say hello")]
    texts = [
        [message.content for message in each.store.messages.tree(id)]
        for each, id in ((first, chat.id), (second, copy.id))
    ]
    assert sorted(texts[0]) == sorted(texts[1])


@pytest.fixture(scope="module")
def own(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fireside]:
    with fireside(tmp_path_factory.mktemp("own"), model=model_path) as running:
        yield running


@pytest.fixture(scope="module")
def beside(own: Fireside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fireside]:
    """A Fireside whose engine is another one."""
    with fireside(tmp_path_factory.mktemp("beside"), engine=own.url) as running:
        yield running


def stop_and_free(page: Page, server: Fireside) -> None:
    """Stop the answer; two seconds after the click the server it comes from computes nothing."""
    engine, start = server.models.backend(timeout=0), monotonic()
    assert engine.runs == 1
    stop(page)
    while engine.runs:
        assert monotonic() - start < 2
        sleep(0.01)
    print(f"the other server was free {monotonic() - start:.2f} s after the click")
    expect(answers(page)).to_contain_text("Stopped.")


@pytest.mark.slow
def test_a_stop_continue_and_the_tokens_of_another_fireside(own: Fireside, beside: Fireside, open_page: Open) -> None:
    page = open_page(beside.url)
    ask(page, STORY)
    text = begun(page)
    stop_and_free(page, own)

    page.get_by_role("button", name="Continue").click()
    shown = answers(page).last.locator(".fs-md")
    expect(shown).to_have_text(re.compile(rf".{{{len(text) + 80},}}", re.DOTALL), timeout=60_000)
    assert shown.inner_text().startswith(text[:30])
    stop_and_free(page, own)

    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_role("slider", name="Max new tokens", exact=True).fill("12")
    ask(page, "Say hello in five words.")
    wait_answered(page, 2)
    answers(page).last.hover()
    answers(page).last.get_by_role("button", name="Look inside").click()
    page.get_by_role("tab", name="Tokens").click()
    page.get_by_role("tabpanel").locator(".fs-token").nth(2).click()
    candidates = page.get_by_role("dialog", name="Alternatives at position 3").locator(".fs-candidate")
    expect(candidates.nth(2)).to_be_visible()


@pytest.mark.slow
def test_the_api_of_a_fireside_on_another_holds_answers_to_a_schema(own: Fireside, beside: Fireside) -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "legs": {"type": "integer", "maximum": 9}},
        "required": ["name", "legs"],
        "additionalProperties": False,
    }
    asked: list[Any] = [{"role": "user", "content": "Describe an animal."}]
    with client_of(beside.url) as client, client_of(own.url) as theirs:
        answer = client.chat.completions.create(
            model="",
            messages=asked,
            response_format={"type": "json_schema", "json_schema": {"name": "animal", "schema": schema}},
            max_tokens=120,
            temperature=0,
        )
        assert answer.choices[0].finish_reason == "stop"
        jsonschema_rs.validate(schema, json.loads(answer.choices[0].message.content or ""))
        # The same tokens with the same probabilities as where they come from.
        plain = [
            each.chat.completions.create(
                model="", messages=asked, max_tokens=12, temperature=0, logprobs=True, top_logprobs=3
            )
            for each in (client, theirs)
        ]
        told, known = ([vars(token) for token in each.choices[0].logprobs.content or ()] for each in plain)  # type: ignore[union-attr]
        assert len(told) == 12
        assert told == known


def scripted_loader(path: Path, *, on_progress: Callable[[float], None]) -> ScriptedBackend:
    return ScriptedBackend(["Mine."])


def choose(page: Page, address: str) -> None:
    page.get_by_role("button", name=re.compile("^Model: ")).click()
    panel = page.get_by_role("dialog", name="Models")
    panel.get_by_label("Address").fill(address)
    panel.get_by_role("button", name="Look").click()
    panel.get_by_role("combobox", name="Model").wait_for()
    panel.locator(".fs-elsewhere").get_by_role("button", name="Use").click()
    expect(panel).to_have_count(0)


@pytest.mark.slow
def test_chosen_on_the_page_and_left_again(own: Fireside, llama: LlamaServer, open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "none.gguf").touch()
    with fireside(tmp_path, model=tmp_path / "none.gguf", loader=scripted_loader) as home:
        page = open_page(home.url)
        expect(page.get_by_text("Runs on this computer.")).to_be_visible()
        choose(page, own.url)
        sent = page.get_by_text(f"What you write is sent to {own.url.removeprefix('http://')}.")
        expect(sent).to_be_visible(timeout=20_000)
        ask(page, "What is the capital of France?")
        wait_answered(page)
        kept = home.home / "engine.json"
        assert (json.loads(kept.read_text())["address"], kept.stat().st_mode & 0o777) == (f"{own.url}/v1", 0o600)

        choose(page, llama.address)
        expect(page.get_by_text("What you write is sent to")).to_contain_text(llama.address.removeprefix("http://"))
        ask(page, "And of Italy?")
        wait_answered(page, 2)
        [chat] = home.store.conversations.list()
        devices = [message.engine["device"] for message in home.store.messages.path(chat.id) if message.engine]
        assert devices == [f"{own.url}/v1", f"{llama.address}/v1"]

        page.get_by_role("button", name=re.compile("^Model: ")).click()
        panel = page.get_by_role("dialog", name="Models")
        panel.get_by_label("Address").fill("http://127.0.0.1:9")
        panel.get_by_role("button", name="Look").click()
        expect(panel.get_by_role("alert")).to_contain_text("is it running", timeout=20_000)
        panel.get_by_role("button", name="Back to this computer's engine").click()
        expect(page.get_by_text("Runs on this computer.")).to_be_visible(timeout=20_000)
        ask(page, "Whose are you?")
        wait_answered(page, 3)
        expect(answers(page).last).to_contain_text("Mine.")
        assert not kept.exists()


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
    expect(page.locator(".fs-elsewhere-banner")).to_contain_text("is it running", timeout=20_000)
    page.get_by_role("button", name="Choose another").click()
    expect(page.get_by_role("dialog", name="Models").get_by_label("Address")).to_be_focused()
    expect(page.get_by_role("heading", name="An engine elsewhere")).to_be_in_viewport()
    page.keyboard.press("Escape")
    llama.start()
    page.get_by_role("button", name="Try now").click()
    expect(page.locator(".fs-model-state")).not_to_have_class(re.compile("fs-is-failed"), timeout=20_000)
    ask(page, "What is the capital of France?")
    wait_answered(page, 3)
    expect(answers(page).last.locator(".fs-md")).to_have_text(re.compile(r"\w"))
    assert message_box(page).input_value() == ""
