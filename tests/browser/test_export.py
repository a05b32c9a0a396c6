"""Exported pages in a real browser: they show whatever a text says, and do nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.store import Store
from app.transfer.exporting import export
from app.transfer.formats import FORMATS
from app.transfer.html import LINKS

from .hostile import ATTACKS


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page in which each text is a title, a system prompt, a question, an answer, a thought and a model's name."""
    folder = tmp_path_factory.mktemp("export")
    with Store.open(folder / "home") as store:
        ids = [_attacked(store, attack) for attack in ATTACKS]
        path = folder / "page.html"
        path.write_bytes(b"".join(export(store, ids, FORMATS["html"]).pieces))
    return path


def _attacked(store: Store, attack: str) -> str:
    chat = store.conversations.create(title=attack, system_prompt=attack)
    question = store.messages.add(chat.id, parent_id=None, role="user", content=attack)
    failed = {"status": "error", "extra": {"error": attack}, "model": attack}
    store.messages.add(chat.id, parent_id=question.id, role="assistant", content=attack, reasoning=attack, **failed)
    return chat.id


def test_hostile_texts_are_shown_and_do_nothing(exported: Path, browser: Browser) -> None:
    assert len(ATTACKS) == 60
    page = browser.new_page()
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.goto(exported.as_uri())
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("window.pwned") is None
    # Not even tried: that nothing ran is not left to the page's policy.
    assert errors == []
    assert requests == [exported.as_uri()]
    assert (
        page.locator("body :is(script, img, iframe, svg, form, object, embed, style, link, meta, input)").count() == 0
    )
    for link in page.get_by_role("link").all():
        assert (link.get_attribute("href") or "").startswith(LINKS)
    titles = page.locator("main > h1").all_inner_texts()
    assert [" ".join(title.split()) for title in titles] == [
        " ".join(attack.replace("\x00", "").split())[:200] for attack in ATTACKS
    ]
    page.close()


def test_the_page_is_read_in_the_dark_on_a_phone_and_on_paper(exported: Path, browser: Browser) -> None:
    page: Page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    page.goto(exported.as_uri())
    expect(page.locator("main").first).to_be_visible()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(28, 25, 23)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 253, 250)"
    page.close()
