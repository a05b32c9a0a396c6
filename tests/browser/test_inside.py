"""Inside an answer, with the default model: tokens, branches, origin, replay, comparison and the notebook, as a person
uses them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import Locator, Page, expect

from app.home import models_folder

from .conftest import Server, answers, ask, serving, wait_answered
from .test_accessible import PANEL, VIEW, violations

Open = Callable[..., Page]
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("inside"), models_folder()) as server:
        yield server


def converse(page: Page, question: str, tokens: int = 24) -> None:
    """A question and its short answer."""
    expect(page.get_by_text("Q4_1")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_role("slider", name="Max new tokens", exact=True).fill(str(tokens))
    page.get_by_role("textbox", name="Seed (-1 = random)").fill("7")
    page.get_by_role("button", name="Settings", exact=True).click()
    ask(page, question)
    wait_answered(page)


def look(page: Page, tab: str) -> Locator:
    """A tab of the last answer's panel."""
    answers(page).last.hover()
    answers(page).last.get_by_role("button", name="Look inside").click()
    page.get_by_role("tab", name=tab).click()
    return page.get_by_role("tabpanel")


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until a control has the focus."""
    expect(target).to_be_visible()
    for _ in range(80):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab does not lead to {target}")


def told(server: Server, page: Page) -> Any:
    """The tokens of the last answer, as the server tells them."""
    id = answers(page).last.get_attribute("data-id")
    with urlopen(f"{server.url}/inside/tokens/{id}") as response:
        return json.load(response)


def test_a_token_is_opened_by_keys_and_another_branches_from_it(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    converse(page, "Name three colours.")
    panel = look(page, "Tokens")
    before = told(server, page)
    tokens = panel.locator(".fs-token")
    expect(tokens).to_have_count(before["count"])
    shown = "".join(tokens.all_text_contents()).replace("␣", " ").replace("⏎", "")
    assert shown == "".join(before["texts"])
    for name in ("Surprise", "Entropy", "Probability"):
        panel.get_by_role("radio", name=name).check()
        expect(panel.locator("[class*='fs-p0'], [class*='fs-p7']").first).to_be_visible()
    tokens.first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    popover = page.get_by_role("dialog", name=re.compile("position 3"))
    candidates = popover.locator(".fs-candidate")
    expect(candidates.nth(4)).to_be_visible()
    expect(popover).to_contain_text("Log-probability")
    # On to the next token and back, as the arrows go on outside.
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name="Alternatives at position 4")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(candidates.nth(4)).to_be_visible()
    popover.get_by_text("Try other settings").click()
    popover.get_by_role("slider", name="Top-k").fill("2")
    expect(candidates.nth(2)).to_contain_text("top-k")
    # Each change draws the candidates anew, also where they stay the same, which would take the focus from them.
    for name, value in (("Repetition penalty", "1"), ("Temperature", "0")):
        with page.expect_response(re.compile("/inside/")):
            popover.get_by_role("slider", name=name).fill(value)
    expect(candidates.first).to_contain_text("100.0%")
    other = next(at for at in range(5) if candidates.nth(at).get_attribute("aria-current") is None)
    candidates.nth(other).focus()
    page.keyboard.press("Enter")
    expect(answers(page).last.get_by_label("Version 2 of 2")).to_be_attached()
    wait_answered(page)
    after = told(server, page)
    assert after["ids"][:2] == before["ids"][:2]
    assert after["ids"][2] != before["ids"][2]
    assert after["branch"]["at"] == 2

    address = re.sub("&.*", "", page.url)
    page.close()
    server.stop()
    server.start()
    page = open_page(address, page.context)
    expect(answers(page)).to_have_count(1)
    # The page is there before the model.
    expect(look(page, "Tokens")).to_contain_text("Branched at token 3", timeout=60_000)


def test_a_word_of_ones_own(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    converse(page, "Say something of the sea.")
    look(page, "Tokens").locator(".fs-token").nth(4).click()
    popover = page.get_by_role("dialog", name="Alternatives at position 5")
    popover.get_by_role("textbox", name="Your own word").fill(" lighthouseberry")
    page.keyboard.press("Enter")
    expect(popover.get_by_role("alert")).to_contain_text("tokens")
    popover.get_by_role("button", name="Branch with all").click()
    expect(answers(page).last).to_contain_text("lighthouseberry")
    wait_answered(page)
    expect(answers(page).last.get_by_label("Version 2 of 2")).to_be_attached()


def test_text_without_probabilities_is_scored(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    converse(page, "What is a fire?")
    answers(page).last.hover()
    answers(page).last.get_by_role("button", name="Edit").click()
    answers(page).last.get_by_role("textbox", name="Edit message").fill("A fire is warm and bright.")
    answers(page).last.get_by_role("button", name="Save").click()
    expect(answers(page).last).to_contain_text("warm and bright")
    panel = look(page, "Tokens")
    panel.get_by_role("button", name="Score this text").click()
    expect(panel.locator(".fs-tokens")).to_contain_text("warm and bright")
    expect(panel).to_contain_text("perplexity")
    panel.get_by_role("button", name="least likely").click()
    expect(page.get_by_role("dialog", name="Alternatives at position")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Origin").click()
    expect(panel).to_contain_text("Written by hand, in place of another version.")
    page.get_by_role("tab", name="Look inside").click()
    expect(panel.locator(".fs-chooser .fs-token").first).to_be_visible()
    page.get_by_role("button", name="Close panel").click()
    question = page.locator(".fs-user").last
    question.hover()
    question.get_by_role("button", name="Look inside").click()
    expect(panel).to_contain_text("Written by you.")


def test_where_an_answer_comes_from_and_that_it_comes_again(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    converse(page, "Why is the sky blue?")
    panel = look(page, "Origin")
    expect(panel).to_contain_text("Copy as JSON")
    for words in (
        "Reading the prompt",
        "float32",
        "this chat",
        "In sight",
        "Why is the sky blue?",
        "exactly what the model read",
    ):
        expect(panel).to_contain_text(words)
    panel.get_by_role("radio", name="As tokens").check()
    expect(panel.locator(".fs-prompt-token").first).to_have_text("<|im_start|>")
    page.get_by_role("tab", name="Replay").click()
    panel.get_by_role("button", name="Run it again").click()
    count = told(server, page)["count"]
    expect(panel.get_by_role("status")).to_contain_text(f"Identical: all {count} tokens are the same.", timeout=60_000)
    expect(panel).to_contain_text(f"fireside replay {answers(page).last.get_attribute('data-id')}")


def test_two_presets_side_by_side_and_one_is_chosen_by_keys(server: Server, open_page: Open) -> None:
    page = open_page(server.url, viewport=PHONE)
    expect(page.get_by_text("Q4_1")).to_be_attached(timeout=60_000)
    page.locator("#fs-composer textarea").fill("Say hello in five words.")
    tab_to(page, page.get_by_role("button", name="Compare answers to this"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Compare answers")
    tab_to(page, dialog.get_by_role("checkbox", name="Creative"))
    page.keyboard.press("Space")
    tab_to(page, dialog.get_by_role("button", name="Compare", exact=True))
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("two to four")
    tab_to(page, dialog.get_by_role("checkbox", name="Precise"))
    page.keyboard.press("Space")
    tab_to(page, dialog.get_by_role("button", name="Compare", exact=True))
    page.keyboard.press("Enter")
    columns = page.get_by_role("region", name="Compare answers").get_by_role("article")
    expect(columns).to_have_count(2)
    expect(columns.last.get_by_role("button", name="Use this one")).to_be_enabled(timeout=60_000)
    expect(page.get_by_label("How much the answers differ")).to_contain_text(
        "prompts that were computed", timeout=60_000
    )
    boxes = [each.bounding_box() for each in columns.all()]
    assert boxes[0]
    assert boxes[1]
    assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    tab_to(page, page.get_by_label("Differences from"))
    page.keyboard.press("ArrowDown")
    expect(columns.last.locator(".fs-difference")).to_be_visible()
    text = columns.last.locator(".fs-difference span, .fs-difference ins").first.inner_text().strip()
    tab_to(page, columns.last.get_by_role("button", name="Use this one"))
    page.keyboard.press("Enter")
    expect(answers(page)).to_contain_text(text)
    expect(answers(page).get_by_label("Version 2 of 2")).to_be_attached()


def test_the_notebook_goes_on_token_by_token(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    expect(page.get_by_text("Q4_1")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Notebook").focus()
    page.keyboard.press("Enter")
    notebook = page.get_by_role("region", name="Notebook")
    box = notebook.get_by_role("textbox", name="Text")
    box.fill("The capital of France is")
    first = notebook.locator(".fs-candidate").first
    expect(first).to_contain_text("Paris")
    share = first.locator(".fs-drawn").inner_text()
    notebook.get_by_role("slider", name="Temperature").fill("0.3")
    expect(first.locator(".fs-drawn")).not_to_have_text(share)
    notebook.get_by_role("slider", name="Top-k").fill("2")
    expect(notebook.locator(".fs-candidate").nth(2)).to_contain_text("top-k")
    first.focus()
    page.keyboard.press("Enter")
    expect(box).to_have_value("The capital of France is Paris")
    expect(first).to_be_focused()
    notebook.get_by_role("slider", name="Tokens to write").fill("5")
    notebook.get_by_role("button", name="Write on").click()
    expect(notebook.locator(".fs-token")).to_have_count(11)
    notebook.locator(".fs-token").nth(5).click()
    expect(notebook.get_by_role("status").first).to_contain_text("In place of token 6")
    page.reload()
    expect(page.get_by_role("region", name="Notebook")).to_be_visible()
    page.get_by_role("button", name="Back to the chat").click()
    expect(page.locator("#fs-composer textarea")).to_be_visible()


def test_where_the_model_looked_as_pictures_to_save(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    converse(page, "What is the capital of France?", 8)
    panel = look(page, "Look inside")
    panel.locator(".fs-chooser .fs-token").first.focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    pictures = panel.locator(".fs-picture")
    expect(pictures).to_have_count(3, timeout=30_000)
    assert panel.evaluate("panel => panel.scrollWidth") <= panel.evaluate("panel => panel.clientWidth")
    panel.get_by_role("img", name="Attention by layer").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(pictures.first.get_by_role("status")).to_contain_text("Layer 1: ")
    panel.get_by_label("Head", exact=True).select_option("0")
    expect(panel.get_by_role("img", name="Attention by layer, head 0")).to_be_visible()
    with page.expect_download() as saved:
        pictures.last.get_by_role("button", name="SVG").click()
    assert saved.value.path().read_text().startswith("<svg")
    with page.expect_download() as saved:
        pictures.last.get_by_role("button", name="PNG").click()
    assert saved.value.path().read_bytes().startswith(b"\x89PNG")


def test_axe_finds_nothing_serious_in_any_of_it(server: Server, open_page: Open) -> None:
    page = open_page(server.url, color_scheme="light", reduced_motion="reduce")
    converse(page, "What is the capital of France?", 8)
    panel = look(page, "Figures")
    found = violations(page, "Figures", within=PANEL)
    page.get_by_role("tab", name="Origin").click()
    expect(panel).to_contain_text("Digest")
    found += violations(page, "Origin", within=PANEL)
    page.get_by_role("tab", name="Replay").click()
    panel.get_by_role("button", name="Run it again").click()
    expect(panel.get_by_role("status")).to_contain_text("Identical", timeout=60_000)
    found += violations(page, "Replay", within=PANEL)
    page.get_by_role("tab", name="Tokens").click()
    expect(panel).to_contain_text("perplexity")
    panel.locator(".fs-token").nth(2).click()
    expect(page.get_by_role("dialog", name=re.compile("position 3"))).to_be_visible()
    found += violations(page, "Tokens and what could have stood there", themes=True)
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Look inside").click()
    panel.locator(".fs-chooser .fs-token").nth(2).click()
    expect(panel.locator(".fs-picture")).to_have_count(3, timeout=30_000)
    found += violations(page, "a look inside", within=PANEL, themes=True)
    page.get_by_role("button", name="Close panel").click()
    page.get_by_role("button", name="Notebook").click()
    notebook = page.get_by_role("region", name="Notebook")
    notebook.get_by_role("textbox", name="Text").fill("The capital of France is")
    expect(notebook.locator(".fs-candidate").first).to_contain_text("Paris")
    found += violations(page, "the notebook", within=VIEW, themes=True)
    page.get_by_role("button", name="Back to the chat").click()
    page.locator("#fs-composer textarea").fill("Say hello in five words.")
    page.get_by_role("button", name="Compare answers to this").click()
    dialog = page.get_by_role("dialog", name="Compare answers")
    dialog.get_by_role("checkbox", name="Creative").check()
    dialog.get_by_role("button", name="Compare", exact=True).click()
    difference = page.get_by_label("How much the answers differ")
    expect(difference).to_contain_text("prompts that were computed", timeout=60_000)
    page.get_by_label("Differences from").select_option(index=1)
    expect(page.locator(".fs-difference").last).to_be_visible()
    found += violations(page, "answers side by side", within=VIEW, themes=True)
    assert "\n".join(found) == ""


def test_in_chinese_and_dark_on_a_phone(server: Server, open_page: Open) -> None:
    page = open_page(server.url, viewport=PHONE, locale="zh-CN", color_scheme="dark", has_touch=True)
    page.locator("#fs-composer textarea").fill("你好")
    page.locator("#fs-composer textarea").press("Enter")
    expect(page.locator(".fs-answer[aria-busy=false]")).to_be_visible(timeout=60_000)
    page.locator(".fs-answer").get_by_role("button", name="查看内部").click()
    page.get_by_role("tab", name="词元").click()
    page.locator(".fs-token").first.click()
    popover = page.get_by_role("dialog", name="位置 1 的候选词")
    expect(popover.locator(".fs-candidate").nth(4)).to_be_visible()
    box = popover.bounding_box()
    assert box
    assert (box["x"], box["width"]) == (0, PHONE["width"])
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
