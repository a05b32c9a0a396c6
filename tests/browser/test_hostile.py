"""What a model writes is shown and never run, and asks nothing of any other machine."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from .conftest import Server, answers, ask, wait_answered


def test_hostile_markdown_runs_nothing(shared: Server, open_page: Callable[..., Page]) -> None:
    page = open_page(shared.url)
    ask(page, "hostile ${window.pwned=5} {{constructor}} <img src=x onerror=window.pwned=6>")
    wait_answered(page)
    page.reload()
    expect(answers(page)).to_contain_text("posing")
    assert page.evaluate("window.pwned") is None
    body = answers(page).locator(".fs-md")
    for tag in ("script", "img", "svg", "iframe", "form", "style", "button"):
        expect(body.locator(tag)).to_have_count(0)
    expect(body.locator("[style], [onerror], [background], .fs-notice")).to_have_count(0)
    # Nothing is dropped silently: HTML is shown as the text it is.
    expect(body).to_contain_text("<script>window.pwned = 1</script>")
    links = body.get_by_role("link")
    assert [link.get_attribute("href") for link in links.all()] == [
        "http://picture.invalid/a.png",
        "https://example.invalid/page",
    ]
    for link in links.all():
        assert link.get_attribute("rel") == "noopener noreferrer"
    title = page.get_by_role("navigation", name="Conversations").get_by_role("link")
    expect(title).to_contain_text("hostile ${window.pwned=5}")
