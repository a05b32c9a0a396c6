"""Models on the page, as a person handles them: looked at, downloaded, changed under a running answer, removed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.model_hub import ModelHub, point_hub_at
from tests.tiny import write_tiny_llama

from .conftest import COMMAND, Server, ask, message_box, serving, wait_answered

Open = Callable[..., Page]
LONG_MS = 30_000
HUB_NAME = "maker/ggufs:tiny.gguf"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelHub]:
    with ModelHub() as hub, pytest.MonkeyPatch.context() as patch:
        point_hub_at(hub.url, patch)
        tiny = write_tiny_llama(tmp_path_factory.mktemp("hub") / "tiny.gguf", seed=5, hidden=128)
        hub.add("maker/ggufs", {"tiny.gguf": tiny.read_bytes(), "other.gguf": b"GGUF"})
        yield hub


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("first", "second")):
        write_tiny_llama(folder / f"{name}.gguf", seed=seed, context=4096)
    (folder / "broken.gguf").write_bytes(b"GGUF, but no more")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models: Path, hub: ModelHub) -> Iterator[Server]:
    with serving(
        tmp_path_factory.mktemp("server"), models, options=("--model", "first.gguf"), launcher=COMMAND
    ) as server:
        yield server


def panel(page: Page) -> Locator:
    """The panel of models, opened by its button if it is not."""
    dialog = page.get_by_role("dialog", name="Models")
    if not dialog.is_visible():
        page.get_by_role("button", name=re.compile("^Model: ")).click()
    return dialog


def card(page: Page, name: str) -> Locator:
    return panel(page).get_by_role("listitem").filter(has=page.get_by_text(name, exact=True))


def loaded(page: Page, name: str) -> None:
    expect(page.locator(".fs-model-button")).to_have_attribute("aria-label", f"Model: {name}", timeout=LONG_MS)
    expect(page.locator(".fs-model-state")).to_have_text("F32", timeout=LONG_MS)


def health(server: Server) -> int:
    try:
        with urlopen(f"{server.url}/health", timeout=5) as response:
            return response.status
    except HTTPError as error:
        return error.code


def test_each_model_says_what_it_is_and_whether_it_fits(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    loaded(page, "first.gguf")
    mine = card(page, "first.gguf")
    expect(mine).to_contain_text("in use")
    expect(mine).to_contain_text("fits")
    expect(mine).to_contain_text("F32 (32.0 bits)")
    expect(mine).to_contain_text(re.compile(r"MB on disk · needs \d+ MB of memory"))
    expect(card(page, "broken.gguf")).to_contain_text("broken.gguf cannot be run")
    expect(card(page, "broken.gguf").get_by_role("button", name=re.compile("^Use"))).to_have_count(0)
    best = panel(page).get_by_role("list", name="The best that fit this computer").get_by_role("listitem")
    expect(best.first).to_contain_text("Apache-2.0")
    expect(best.first.get_by_role("button", name=re.compile("^Download: "))).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Models")).to_have_count(0)


def test_another_model_waits_for_a_running_answer_which_can_be_stopped(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    ask(page, "Hello?")
    wait_answered(page)
    ask(page, "Tell me more.")
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    card(page, "second.gguf").get_by_role("button", name=re.compile("^Use")).click()
    loaded(page, "second.gguf")
    page.keyboard.press("Escape")
    wait_answered(page, 2)
    assert health(server) == 200
    ask(page, "And you?")
    wait_answered(page, 3)
    assert json.load(urlopen(f"{server.url}/status", timeout=5))["name"] == "second.gguf"


def test_a_model_is_downloaded_by_its_name_cancelled_resumed_used_and_removed(
    server: Server, hub: ModelHub, models: Path, open_page: Open
) -> None:
    page = open_page(server.url)
    other = open_page(server.url, page.context)
    hub.pause = 0.4
    message_box(page).fill("a draft that stays")
    panel(page).get_by_role("textbox", name="Name on Hugging Face").fill(HUB_NAME)
    panel(page).get_by_role("button", name="Download", exact=True).click()
    expect(card(page, f"hf:{HUB_NAME}")).to_contain_text(re.compile(r"MB of .* MB/s, \d+ s left"), timeout=LONG_MS)
    expect(card(other, f"hf:{HUB_NAME}").get_by_role("progressbar")).to_be_visible()
    card(page, f"hf:{HUB_NAME}").get_by_role("button", name=re.compile("^Cancel")).click()
    expect(card(other, f"hf:{HUB_NAME}")).to_contain_text("have arrived")
    hub.pause = 0.0
    card(other, f"hf:{HUB_NAME}").get_by_role("button", name=re.compile("^Resume")).click()
    use = card(page, f"hf:{HUB_NAME}").get_by_role("button", name=re.compile("^Use"))
    expect(use).to_be_visible(timeout=LONG_MS)
    assert sorted(sent.start > 0 for sent in hub.sent) == [False, True]
    use.click()
    loaded(other, "tiny.gguf")
    expect(card(page, f"hf:{HUB_NAME}")).to_contain_text("in use")
    expect(card(page, f"hf:{HUB_NAME}").get_by_role("button", name=re.compile("^Remove"))).to_have_count(0)
    remove = card(page, "broken.gguf").get_by_role("button", name=re.compile("^Remove"))
    remove.click()
    expect(remove).to_contain_text("for good?")
    remove.click()
    expect(card(page, "broken.gguf")).to_have_count(0)
    assert not (models / "broken.gguf").exists()
    page.keyboard.press("Escape")
    expect(message_box(page)).to_have_value("a draft that stays")


def test_a_name_that_leads_nowhere_is_told_where_it_was_typed(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    wrong = {
        "no name at all": "names no repository of the hub",
        "../../etc": "names no repository of the hub",
        "maker/nosuch": "there is no maker/nosuch",
        "maker/ggufs": "of which one must be named",
    }
    for name, words in wrong.items():
        panel(page).get_by_role("textbox", name="Name on Hugging Face").fill(name)
        panel(page).get_by_role("button", name="Download", exact=True).click()
        told = panel(page).get_by_role("alert").filter(has_text=re.compile(words, re.IGNORECASE))
        expect(told.first).to_be_visible(timeout=LONG_MS)
    # What is fetched has a card; the way there is not left to be found, and the card goes when it was read.
    nowhere = card(page, "hf:maker/nosuch")
    panel(page).get_by_role("textbox", name="Name on Hugging Face").fill("maker/nosuch")
    panel(page).get_by_role("button", name="Download", exact=True).press("Enter")
    expect(nowhere.get_by_role("button").first).to_be_focused(timeout=LONG_MS)
    expect(nowhere).to_be_in_viewport(ratio=1)
    expect(nowhere.get_by_role("alert")).to_be_visible(timeout=LONG_MS)
    nowhere.get_by_role("button", name="Dismiss").click()
    expect(nowhere).to_have_count(0)


def test_a_download_that_breaks_says_why_and_goes_on(server: Server, hub: ModelHub, open_page: Open) -> None:
    page = open_page(server.url)
    hub.add("maker/breaks", {"model.gguf": (b"GGUF" * 50_000)})
    hub.refuse = ("/cdn", 503, {})
    try:
        panel(page).get_by_role("textbox", name="Name on Hugging Face").fill("maker/breaks")
        panel(page).get_by_role("button", name="Download", exact=True).click()
        mine = card(page, "hf:maker/breaks")
        expect(mine.get_by_role("alert")).to_contain_text("(503)", timeout=LONG_MS)
    finally:
        hub.refuse = None
    mine.get_by_role("button", name=re.compile("^(Try again|Resume)")).click()
    # It arrives, and turns out to be no model: said on its card, and nothing else changes.
    expect(mine).to_contain_text("cannot be", timeout=LONG_MS)
    expect(mine.get_by_role("button", name=re.compile("^Use"))).to_have_count(0)
    assert health(server) == 200


def test_a_model_that_will_not_load_is_told_where_it_was_chosen(server: Server, models: Path, open_page: Open) -> None:
    worn = write_tiny_llama(models / "worn.gguf", seed=9, context=4096)
    page = open_page(server.url)
    message_box(page).fill("Is anybody there?")
    use = card(page, "worn.gguf").get_by_role("button", name=re.compile("^Use"))
    expect(use).to_be_visible()
    worn.write_bytes(worn.read_bytes()[:-1_000])
    use.click()
    expect(panel(page).get_by_role("alert").first).to_contain_text("worn.gguf", timeout=LONG_MS)
    # Why is said once, also when it is asked for again.
    expect(card(page, "worn.gguf").get_by_text("bytes")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(message_box(page)).to_have_value("Is anybody there?")
    message_box(page).press("Enter")
    wait_answered(page)
    worn.unlink()


@pytest.mark.slow
def test_the_choice_holds_over_a_restart(tmp_path: Path, models: Path, hub: ModelHub, open_page: Open) -> None:
    with serving(tmp_path, models, options=("--model", "first.gguf")) as server:
        page = open_page(server.url)
        card(page, "second.gguf").get_by_role("button", name=re.compile("^Use")).click()
        loaded(page, "second.gguf")
        server.stop()
    with serving(tmp_path, models) as server:
        loaded(open_page(server.url), "second.gguf")
