"""What a text says is shown and never run, wherever it stands, and asks nothing of any other machine."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Dialog, Locator, Page, expect

from app.store import Store

from .conftest import Server, answers, ask, scripted_at, wait_answered
from .hostile import ATTACKS

# Each half of them is found by a word of its own: a search shows thirty messages.
WORDS = ("quokka", "wombat")
# What a text might become if it were taken for HTML; of the page's own, none stands where texts are.
MADE = (
    "script, img, iframe, object, embed, style, link, meta, base, form, input, video, audio, marquee, details, math, "
    "template, textarea, xmp, portal, isindex, [style], [background], [onerror], [onload], [onclick], [onmouseover]"
)
DROP = """(files) => {
    const transfer = new DataTransfer();
    for (const [name, data] of files)
        transfer.items.add(new File([Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0))], name));
    const target = document.querySelector(files.length > 20 ? "#fs-main" : "#fs-dock textarea");
    for (const kind of ["dragenter", "dragover", "drop"])
        target.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""


def plain(text: str) -> str:
    """As a line of the page shows it."""
    return " ".join(text.replace("\0", "").split())


def one_line(locator: Locator) -> list[str]:
    return [" ".join(text.split()) for text in locator.all_inner_texts()]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose chats, presets and models are called so, and have said so."""
    folder = tmp_path_factory.mktemp("hostile")
    server = scripted_at(folder)
    with Store.open(folder / "data") as store:
        long = store.conversations.create(title="All of them")
        parent: str | None = None
        for number, attack in enumerate(ATTACKS):
            text = f"{attack}\n\n{WORDS[number % 2]}"
            preset = store.presets.save(f"{number} {attack}"[:60], {"temperature": 0.5})
            chat = store.conversations.create(title=attack, system_prompt=attack, preset_id=preset.id)
            store.conversations.tag(chat.id, [attack.replace("\0", "")[:40]])
            question = store.messages.add(long.id, parent_id=parent, role="user", content=text)
            parent = store.messages.add(
                long.id,
                parent_id=question.id,
                role="assistant",
                content=text,
                reasoning=attack,
                model=attack,
                new_tokens=3,
                extra={"error": attack} if number % 10 == 0 else {},
                status="error" if number % 10 == 0 else "complete",
            ).id
        store.conversations.pin(long.id)
    for number, attack in enumerate(ATTACKS):
        name = attack.replace("\0", "").replace("/", "")
        (folder / f"{number} {name:.100}.gguf").write_bytes(b"GGUF")
    server.start()
    yield server
    server.close()


def test_sixty_texts_in_seven_places_do_nothing(hostile: Server, open_page: Callable[..., Page]) -> None:
    """As titles, search hits, messages, answers, names of models, presets and files, streamed and loaded.

    That nothing was asked for or refused, `open_page` looks at in the end.
    """
    page = open_page(hostile.url)
    dialogs: list[str] = []

    def refuse(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    for look in (
        look_at_the_list_its_search_and_its_filters,
        look_at_messages_answers_thoughts_and_models_names,
        look_at_presets_and_models,
        look_at_names_of_files,
    ):
        look(page)
    assert page.evaluate("window.pwned") is None
    assert dialogs == []
    assert page.url.startswith(hostile.url)


def look_at_the_list_its_search_and_its_filters(page: Page) -> None:
    assert len(ATTACKS) == 60
    titles = page.get_by_role("navigation", name="Conversations")
    expect(titles.get_by_role("link")).to_have_count(61)
    shown = [plain(text.replace("\ufffd", "")) for text in titles.locator(".fs-entry a").all_text_contents()]
    for attack in ATTACKS:
        assert any(plain(attack)[:200] in title for title in shown), attack
    expect(titles.locator(MADE)).to_have_count(0)
    search = page.get_by_role("searchbox", name="Search chats")
    for word in WORDS:
        search.fill(word)
        hits = page.get_by_role("region", name="Messages")
        expect(hits.locator("mark").first).to_have_text(word)
        expect(hits.get_by_role("button")).to_have_count(30)
        expect(hits.locator(MADE)).to_have_count(0)
    page.get_by_role("button", name="Filter the search").click()
    choices = page.get_by_role("combobox", name="Model")
    expect(choices.locator("option")).to_have_count(61)
    page.keyboard.press("Escape")
    search.fill("")


def look_at_messages_answers_thoughts_and_models_names(page: Page) -> None:
    page.get_by_role("link", name="All of them").click()
    log = page.get_by_role("log")
    expect(log.get_by_role("article")).to_have_count(2 * len(ATTACKS), timeout=30_000)
    log.evaluate("(log) => log.querySelectorAll('summary').forEach((summary) => summary.click())")
    bodies = log.locator(".fs-md, .fs-bubble")
    expect(bodies.first).to_be_attached()
    expect(bodies.locator(MADE.replace(", [style]", ""))).to_have_count(0)
    links = log.locator("a").evaluate_all("(links) => links.map((link) => link.href)")
    assert all(link.startswith(("https://", "http://", "mailto:")) for link in links), links
    text = " ".join(log.inner_text().split())
    for number in range(1, 10):
        assert f"window.pwned={number}" in text.replace(" ", "")
    log.get_by_title("Figures of this answer").nth(1).click()
    expect(page.get_by_role("dialog", name="This answer")).to_contain_text(ATTACKS[1])
    # As it is streamed, too.
    page.get_by_role("button", name="New chat").click()
    ask(page, "attack me")
    wait_answered(page)
    expect(answers(page)).to_contain_text("<script>window.pwned = 1</script>")
    expect(answers(page).locator(".fs-md").locator(MADE.replace(", [style]", ""))).to_have_count(0)


def look_at_presets_and_models(page: Page) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("combobox", name="Preset").click()
    options = page.get_by_role("option")
    for number, attack in enumerate(ATTACKS[:10]):
        expect(options.filter(has_text=plain(f"{number} {attack}"[:60])).first).to_be_attached()
    expect(options.locator(MADE.replace(", [style]", ""))).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Model: ").click()
    models = page.get_by_role("dialog", name="Models")
    expect(models).to_contain_text("window.pwned")
    expect(models.locator(".fs-md, li").locator("script, img, iframe, object, embed, style, form")).to_have_count(0)
    page.keyboard.press("Escape")


def look_at_names_of_files(page: Page) -> None:
    names = [attack.replace("\0", "")[:100] for attack in ATTACKS]
    line = b64encode(json.dumps({"messages": [{"role": "user", "content": "x"}]}).encode()).decode()
    page.evaluate(DROP, [[f"{name}.jsonl", line] for name in names])
    dialog = page.get_by_role("dialog", name="Import chats")
    expect(dialog.get_by_text("OpenAI messages: ")).to_have_count(60)
    expect(dialog.get_by_role("button", name="Close")).to_be_visible()
    expect(dialog.locator("li").locator(MADE)).to_have_count(0)
    assert [plain(name + ".jsonl") for name in names] == one_line(dialog.locator("li > strong"))
    dialog.get_by_role("button", name="Close").click()
    # As attachments: twenty a message.
    for start in range(0, 60, 20):
        page.get_by_role("button", name="New chat").click()
        page.evaluate(DROP, [[f"{name}.txt", line] for name in names[start : start + 20]])
        expect(page.locator("#fs-dock li.fs-chip")).to_have_count(20)
        expect(page.locator("#fs-dock li.fs-chip").locator(MADE)).to_have_count(0)
        ask(page, f"Files {start}")
        wait_answered(page)
        expect(page.get_by_role("log").locator(".fs-file").first).to_be_visible()
        expect(page.get_by_role("log").locator(MADE.replace(", [style]", "").replace(", details", ""))).to_have_count(0)
