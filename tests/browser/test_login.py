"""Accounts as people meet them: the login, what is whose, and the way out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.accounts.attempts import OF_ADDRESS
from app.accounts.people import COOKIE, Accounts
from app.fake import ScriptedBackend
from tests.app.remote.fireside import Fireside, fireside
from tests.app.serving import loader_of

from .conftest import PATIENCE_MS, answers, ask, wait_answered
from .test_accessible import violations

PASSWORD = "correct horse battery"
Open = Callable[..., Page]


def running(home: Path) -> Iterator[Fireside]:
    (home / "scripted.gguf").touch()
    backend = ScriptedBackend(lambda messages: [f"You said: {messages[-1]['content']}"])
    with fireside(home, model=home / "scripted.gguf", loader=loader_of(backend)) as server:
        if not server.store.users.any():
            for name in ("Anna", "Ben"):
                Accounts(server.store).add(name, PASSWORD)
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fireside]:
    yield from running(tmp_path_factory.mktemp("accounts"))


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


@pytest.fixture
def logged_in(browser: Browser, open_page: Open) -> Iterator[Callable[..., Page]]:
    """Open the page as somebody, each in a browser of their own."""
    contexts: list[BrowserContext] = []

    def as_somebody(server: Fireside, name: str) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 860})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.goto(server.url)
        log_in(page, name)
        page.locator("#fs-composer textarea").wait_for()
        page.close()
        return open_page(server.url, context)

    yield as_somebody
    for context in contexts:
        context.close()


def test_a_wrong_password_a_right_one_and_the_way_out(server: Fireside, browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{server.url}/?c=some-chat")
        expect(page).to_have_title("Log in · Fireside")
        log_in(page, "anna", "wrong")
        expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
        expect(page.get_by_label("Name")).to_have_value("anna")
        expect(page.get_by_label("Password")).to_be_focused()
        log_in(page, "ANNA")
        page.locator("#fs-composer textarea").wait_for()
        [cookie] = [each for each in context.cookies() if each.get("name") == COOKIE]
        assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Lax")
        expect(page.locator(".fs-account-name")).to_have_text("Anna")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Password")).to_be_visible()
        # The session is ended on the server, not only forgotten here.
        context.add_cookies([{"name": COOKIE, "value": str(cookie.get("value")), "url": server.url}])
        page.goto(server.url)
        expect(page.get_by_label("Password")).to_be_visible()


def test_axe_finds_nothing_serious_at_the_login(server: Fireside, browser: Browser) -> None:
    with browser.new_context(color_scheme="light", reduced_motion="reduce") as context:
        page = context.new_page()
        page.goto(server.url)
        found = violations(page, "the login")
        log_in(page, "anna", "wrong")
        expect(page.get_by_role("alert")).to_be_visible()
        found += violations(page, "a refused login")
        page.emulate_media(color_scheme="dark")
        found += violations(page, "a refused login in the dark")
        log_in(page, "Anna")
        page.locator("#fs-composer textarea").wait_for()
        expect(page.get_by_role("button", name="Log out")).to_be_visible()
        found += violations(page, "the page of somebody", themes=True)
    assert "\n".join(found) == ""


def test_two_people_see_only_what_is_theirs(server: Fireside, logged_in: Callable[..., Page]) -> None:
    anna, ben = logged_in(server, "Anna"), logged_in(server, "Ben")
    ask(anna, "A secret of Anna's")
    wait_answered(anna)
    address = anna.url
    ask(ben, "Something of Ben's")
    wait_answered(ben)
    expect(anna.locator("#fs-side")).to_contain_text("A secret of Anna's")
    expect(ben.locator("#fs-side")).to_contain_text("Something of Ben's")
    expect(ben.locator("#fs-side")).not_to_contain_text("secret")
    ben.goto(address)
    ben.locator("#fs-composer textarea").wait_for()
    expect(answers(ben)).to_have_count(0)
    expect(ben.locator("body")).not_to_contain_text("A secret of Anna's")


def test_only_an_administrator_manages_models_and_the_engine(server: Fireside, logged_in: Callable[..., Page]) -> None:
    def panel(page: Page) -> None:
        page.get_by_role("button", name=re.compile("^Model: ")).click()
        page.get_by_role("dialog", name="Models").get_by_role("listitem").first.wait_for()

    anna, ben = logged_in(server, "Anna"), logged_in(server, "Ben")
    panel(anna)
    expect(anna.get_by_role("heading", name="An engine elsewhere")).to_be_visible()
    expect(anna.get_by_role("button", name=re.compile("^Download: ")).first).to_be_visible()
    panel(ben)
    expect(ben.get_by_role("heading", name="An engine elsewhere")).to_have_count(0)
    expect(ben.get_by_role("button", name=re.compile("^(Download|Use|Remove)"))).to_have_count(0)


def test_a_session_outlasts_a_restart_and_its_end_is_told(
    tmp_path: Path, logged_in: Callable[..., Page], open_page: Open
) -> None:
    start = running(tmp_path)
    first = next(start)
    page = logged_in(first, "Ben")
    ask(page, "Before the restart")
    wait_answered(page)
    start.close()  # type: ignore[attr-defined]
    for second in running(tmp_path):
        # At another port, to which a cookie is sent all the same.
        page = open_page(second.url, page.context)
        expect(page.locator("#fs-side")).to_contain_text("Before the restart")
        second.store.users.set_password(second.store.users.named("Ben").id, "no hash")
        page.locator("#fs-composer textarea").fill("not lost")
        page.keyboard.press("Enter")
        expect(page.get_by_text("You are not logged in any more.")).to_be_visible()


def test_guessing_is_slowed_down(tmp_path: Path, browser: Browser) -> None:
    for server in running(tmp_path):
        with browser.new_context() as context:
            for _ in range(OF_ADDRESS):
                guess = context.request.post(f"{server.url}/login", form={"name": "Anna", "password": "guess"})
                assert guess.status == 401
            page = context.new_page()
            page.goto(server.url)
            log_in(page, "Anna")
            expect(page.get_by_role("alert")).to_have_text(re.compile(r"Too many attempts: try again in \d+ seconds\."))
            refused = context.request.post(f"{server.url}/login", form={"name": "Ben", "password": PASSWORD})
            assert (refused.status, int(refused.headers["retry-after"]) > 200) == (429, True)
