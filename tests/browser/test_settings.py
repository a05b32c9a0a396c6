"""The drawer: settings belong to the conversation; presets; theme; narrow pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from .conftest import Server, answers, ask, held_up, message_box, wait_answered

Open = Callable[..., Page]


def slider(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name, exact=True)


def open_drawer(page: Page) -> None:
    page.get_by_role("button", name="Settings").click()
    expect(slider(page, "Temperature")).to_be_visible()


def choose_preset(page: Page, name: str) -> None:
    page.get_by_role("combobox", name="Preset").click()
    page.get_by_role("option", name=name).click()


def preset_menu(page: Page, entry: str) -> None:
    page.get_by_role("button", name="Preset menu").click()
    page.get_by_role("menuitem", name=entry).click()


def test_every_setting_has_its_label(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    expect(slider(page, "Temperature")).to_be_hidden()
    open_drawer(page)
    for name in (
        *("Temperature", "Top-k", "Top-p", "Min-p", "Repetition penalty"),
        *("Presence penalty", "Frequency penalty", "Max new tokens"),
    ):
        expect(slider(page, name)).to_be_visible()
    for name in ("Seed (-1 = random)", "Stop strings", "System prompt"):
        expect(page.get_by_role("textbox", name=name)).to_be_visible()


def test_settings_belong_to_the_conversation(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    open_drawer(page)
    choose_preset(page, "Precise")
    expect(slider(page, "Temperature")).to_have_value("0.2")
    slider(page, "Top-k").fill("7")
    page.get_by_role("textbox", name="Seed (-1 = random)").fill("9223372036854775807")
    ask(page, "with settings")
    wait_answered(page)
    slider(page, "Min-p").fill("0.3")
    page.get_by_role("textbox", name="System prompt").fill("Be brief.")
    with page.expect_response("**/gradio_api/run/predict*"):
        page.get_by_role("textbox", name="Seed (-1 = random)").focus()
    page.get_by_role("button", name="New chat").click()
    expect(slider(page, "Temperature")).to_have_value("0.7")
    expect(slider(page, "Top-k")).to_have_value("40")
    page.reload()
    page.get_by_role("link", name="with settings").click()
    expect(slider(page, "Top-k")).to_have_value("7")
    expect(slider(page, "Temperature")).to_have_value("0.2")
    expect(slider(page, "Min-p")).to_have_value("0.3")
    expect(page.get_by_role("combobox", name="Preset")).to_have_value("Precise")
    expect(page.get_by_role("textbox", name="System prompt")).to_have_value("Be brief.")
    expect(page.get_by_role("textbox", name="Seed (-1 = random)")).to_have_value("9223372036854775807")
    answers(page).get_by_role("button", name="tokens").click()
    expect(page.get_by_role("dialog", name="This answer")).to_contain_text("9223372036854775807")


def test_what_is_typed_out_of_a_sliders_range_is_told_there(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    open_drawer(page)
    message_box(page).fill("kept meanwhile")
    control = page.locator("#fs-set-temperature")
    typed = control.locator("input[type=number]")
    typed.fill("7")
    expect(control.get_by_role("alert")).to_have_text("This goes from 0 to 2: 2 is taken.")
    typed.press("Tab")
    expect(typed).to_have_value("2")
    expect(slider(page, "Temperature")).to_have_value("2")
    typed.fill("1")
    expect(control.get_by_role("alert")).to_have_count(0)
    # A preset has another value.
    typed.fill("7")
    expect(control.get_by_role("alert")).to_be_visible()
    choose_preset(page, "Creative")
    expect(control.get_by_role("alert")).to_have_count(0)
    message_box(page).press("Enter")
    wait_answered(page)
    expect(answers(page)).to_have_text(re.compile("kept meanwhile"))


def test_the_last_seed_is_kept_by_a_click(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    open_drawer(page)
    ask(page, "once")
    wait_answered(page)
    seed = page.get_by_role("textbox", name=re.compile("^Seed"))
    expect(seed).to_have_value("-1")
    keep = page.get_by_role("button", name=re.compile(r"^Keep the last: \d+"))
    kept = keep.inner_text().removeprefix("Keep the last: ")
    keep.click()
    expect(seed).to_have_value(kept)
    page.get_by_role("button", name="Regenerate").click()
    expect(page.get_by_text("2/2")).to_be_visible()
    wait_answered(page)
    page.get_by_role("button", name=re.compile(r"^\d+ tokens")).click()
    expect(page.get_by_role("dialog", name="This answer")).to_contain_text(kept)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Take a new one each time").click()
    expect(seed).to_have_value("-1")


def test_a_bad_seed_is_refused_and_the_message_kept(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    open_drawer(page)
    seed = page.get_by_role("textbox", name="Seed (-1 = random)")
    seed.fill("twelve")
    ask(page, "kept")
    refusal = page.locator("#fs-set-seed").get_by_role("alert")
    expect(refusal).to_contain_text("seed must be -1 or a whole number")
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(message_box(page)).to_have_value("kept")
    # Where the settings are not seen, it is told above the message box.
    page.get_by_role("button", name="Settings", exact=True).click()
    message_box(page).press("Enter")
    expect(page.get_by_role("alert").filter(has_text="seed must be -1 or a whole number")).to_be_visible()
    page.get_by_role("button", name="Settings", exact=True).click()
    seed.fill("12")
    expect(refusal).to_have_count(0)
    message_box(page).press("Enter")
    wait_answered(page)


def test_presets_are_saved_and_deleted(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    open_drawer(page)
    slider(page, "Temperature").fill("1.5")
    page.get_by_role("button", name="Save as…").click()
    page.get_by_role("textbox", name="Name").fill("Wild")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Saved the preset Wild.")).to_be_visible()
    expect(page.get_by_role("combobox", name="Preset")).to_have_value("Wild")
    choose_preset(page, "Balanced")
    expect(slider(page, "Temperature")).to_have_value("0.7")
    page.reload()
    choose_preset(page, "Wild")
    expect(slider(page, "Temperature")).to_have_value("1.5")
    # What is changed is said, and can be kept under the same name.
    label = page.locator("#fs-preset [data-testid=block-info]")
    expect(label).to_have_attribute("data-source", "")
    save = page.locator(".fs-presets").get_by_role("button", name="Save", exact=True)
    expect(save).to_be_hidden()
    slider(page, "Temperature").fill("1.2")
    expect(label).to_have_attribute("data-source", "changed")
    expect(save).to_be_visible()
    menu = page.get_by_role("button", name="Preset menu")
    first, last = save.bounding_box(), menu.bounding_box()
    assert first is not None
    assert last is not None
    assert last["y"] < first["y"] + first["height"], "the buttons are in one row"
    save.click()
    expect(label).to_have_attribute("data-source", "")
    # A name that is taken is refused where it is typed, and stays there.
    choose_preset(page, "Balanced")
    page.get_by_role("button", name="Save as…").click()
    name = page.get_by_role("textbox", name="Name")
    name.fill("wild")
    name.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="There is a preset Wild already")).to_be_visible()
    expect(name).to_have_value("wild")
    page.get_by_role("button", name="Cancel").click()
    choose_preset(page, "Wild")
    expect(slider(page, "Temperature")).to_have_value("1.2")
    preset_menu(page, "Delete preset")
    expect(page.get_by_role("status").filter(has_text="Deleted the preset Wild.")).to_be_visible()
    expect(page.get_by_role("combobox", name="Preset")).to_have_value("Balanced")
    page.get_by_role("button", name="Preset menu").click()
    expect(page.get_by_role("menuitem")).to_have_text(["Duplicate", "Export as file", "Import a file…"])


def test_presets_are_duplicated_renamed_and_moved_as_files(shared: Server, open_page: Open, tmp_path: Path) -> None:
    page = open_page(shared.url)
    open_drawer(page)
    choose_preset(page, "Creative")
    preset_menu(page, "Duplicate")
    preset = page.get_by_role("combobox", name="Preset")
    expect(preset).to_have_value("Creative 2")
    preset_menu(page, "Rename…")
    page.get_by_role("textbox", name="Name").fill("Night")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(preset).to_have_value("Night")
    with page.expect_download() as download:
        preset_menu(page, "Export as file")
    file = tmp_path / "preset.json"
    download.value.save_as(file)
    file.write_text(file.read_text().replace('"temperature": 1.0', '"temperature": 1.35'))
    with page.expect_file_chooser() as chooser:
        preset_menu(page, "Import a file…")
    chooser.value.set_files(file)
    expect(preset).to_have_value("Night 2")
    expect(slider(page, "Temperature")).to_have_value("1.35")
    file.write_text("no preset")
    with page.expect_file_chooser() as chooser:
        preset_menu(page, "Import a file…")
    chooser.value.set_files(file)
    expect(page.get_by_role("alert")).to_contain_text("The file is not JSON")


def test_changes_of_settings_are_shown_undone_and_reset(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "settings to undo")
    wait_answered(page)
    open_drawer(page)
    undo = page.get_by_role("button", name="Undo the last change of settings")
    expect(undo).to_be_disabled()
    temperature = page.locator("#fs-set-temperature [data-testid=block-info]")
    # As many movements of one slider as a person makes are one change.
    for value in ("0.9", "1.1", "1.3"):
        with page.expect_response("**/gradio_api/run/predict*"):
            slider(page, "Temperature").fill(value)
    expect(temperature).to_have_attribute("data-source", "set in this chat")
    with page.expect_response("**/gradio_api/run/predict*"):
        slider(page, "Top-k").fill("3")
    undo.click()
    expect(slider(page, "Top-k")).to_have_value("40")
    expect(slider(page, "Temperature")).to_have_value("1.3")
    undo.click()
    expect(slider(page, "Temperature")).to_have_value("0.7")
    expect(temperature).to_have_attribute("data-source", "")
    with page.expect_response("**/gradio_api/run/predict*"):
        slider(page, "Top-k").fill("5")
    page.get_by_role("button", name="Reset", exact=True).click()
    expect(slider(page, "Top-k")).to_have_value("40")


def test_what_is_typed_is_typed_over_the_chats_own_values(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    open_drawer(page)
    slider(page, "Top-k").fill("7")
    ask(page, "with seven")
    wait_answered(page)
    with held_up(page):
        page.reload()
        button = page.get_by_role("button", name="Settings")
        expect(button).to_have_attribute("aria-expanded", "true")
        expect(page.get_by_role("heading", name="Settings")).to_be_visible()
        expect(slider(page, "Top-k")).to_be_hidden()
        ask(page, "before all that")
    expect(slider(page, "Top-k")).to_be_visible()
    wait_answered(page, 2)
    expect(slider(page, "Top-k")).to_have_value("7")
    page.reload()
    expect(answers(page)).to_have_count(2)
    expect(slider(page, "Top-k")).to_have_value("7")


def test_what_the_model_advises_holds_and_is_told(scripted: Callable[..., Server], open_page: Open) -> None:
    page = open_page(scripted(loading=6.0).url)
    open_drawer(page)
    page.get_by_role("textbox", name="System prompt").fill("Be brief.")
    slider(page, "Top-k").fill("9")
    presence = slider(page, "Presence penalty")
    expect(presence).to_have_value("0")
    # The page was there before the model.
    expect(presence).to_have_value("0.4", timeout=15_000)
    label = page.locator("#fs-set-presence_penalty [data-testid=block-info]")
    expect(label).to_have_attribute("data-source", "advised by the model")
    expect(page.get_by_role("list", name="Advice of the model")).to_contain_text("top_p 7 is above 1")
    expect(slider(page, "Top-k")).to_have_value("9")
    expect(page.get_by_role("textbox", name="System prompt")).to_have_value("Be brief.")
    choose_preset(page, "Precise")
    expect(presence).to_have_value("0")
    choose_preset(page, "Balanced")
    expect(presence).to_have_value("0.4")


def test_an_answer_is_made_again_with_other_settings(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url)
    ask(page, "once more")
    wait_answered(page)
    for version, entry, temperature in ((2, "With Precise", "0.2"), (3, "Warmer (temperature 0.5)", "0.5")):
        answers(page).hover()
        answers(page).get_by_role("button", name="More").click()
        page.get_by_role("menuitem", name="Answer again with…").click()
        page.get_by_role("menuitem", name=entry).click()
        expect(answers(page).get_by_label(f"Version {version} of {version}")).to_be_visible()
        wait_answered(page)
        answers(page).get_by_role("button", name="tokens").click()
        expect(page.get_by_role("dialog", name="This answer")).to_contain_text(f"Temperature{temperature}")
        page.keyboard.press("Escape")
    open_drawer(page)
    expect(slider(page, "Temperature")).to_have_value("0.7")


def test_theme_is_remembered(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url, color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    choose_theme(page, "Dark theme")
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    expect(page.get_by_role("button", name="Theme and language")).to_be_visible()
    assert page.evaluate(background) == dark
    assert "__theme" not in page.url
    choose_theme(page, "System's theme")
    assert page.evaluate(background) == light
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{background} === '{dark}'")
    choose_theme(page, "Light theme")
    assert page.evaluate(background) == light


def choose_theme(page: Page, name: str) -> None:
    page.get_by_role("button", name="Theme and language").click()
    page.get_by_role("menuitemradio", name=name).click()


def test_a_narrow_page_has_overlays(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url, viewport={"width": 390, "height": 844})
    ask(page, "on a phone")
    wait_answered(page)
    expect(page.get_by_role("searchbox", name="Search chats")).to_be_hidden()
    page.get_by_role("button", name="Toggle sidebar").click()
    page.get_by_role("link", name="on a phone").click()
    expect(page.get_by_role("searchbox", name="Search chats")).to_be_hidden()
    open_drawer(page)
    page.keyboard.press("Escape")
    expect(slider(page, "Temperature")).to_be_hidden()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
