"""Chats from elsewhere on the page: dropped or chosen, told of one by one, and taken away again."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect

from tests.app.chat_files import chatgpt
from tests.app.command import assert_refused, fireside
from tests.app.test_import_refusals import HOSTILE
from tests.browser.conftest import Server

DROP = """([selector, name, data, type]) => {
    const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name));
    const target = document.querySelector(selector);
    for (const kind of type) {
        target.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
    }
}"""


def exported(*conversations: dict[str, object]) -> bytes:
    """A zip as ChatGPT sends it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("user.json", "{}")
        archive.writestr("chat.html", "<p>chats</p>")
        archive.writestr("conversations.json", json.dumps(conversations))
    return file.getvalue()


def drop(page: Page, name: str, data: bytes, selector: str = "#fs-main") -> None:
    encoded = b64encode(data).decode()
    page.evaluate(DROP, [selector, name, encoded, ["dragenter", "dragover"]])
    expect(page.locator(".fs-drop")).to_be_visible()
    page.evaluate(DROP, [selector, name, encoded, ["drop"]])
    expect(page.locator(".fs-drop")).to_be_hidden()


def test_a_file_is_dropped_told_of_opened_and_taken_away(shared: Server, open_page: Callable[..., Page]) -> None:
    page = open_page(shared.url)
    data = exported(chatgpt("d-1", title="Oaks <b>"), {"title": "Nothing"}, chatgpt("d-2", title=None))
    drop(page, "chatgpt-export.zip", data)
    dialog = page.get_by_role("dialog", name="Import chats")
    expect(dialog.get_by_text("ChatGPT: 2 imported, 1 skipped")).to_be_visible()
    expect(dialog.get_by_text("it has no messages (no `mapping`)")).to_be_visible()
    expect(dialog.get_by_text("Without a title")).to_be_visible()
    # Again, and by the button: nothing changes.
    with page.expect_file_chooser() as chooser:
        dialog.get_by_role("button", name="Choose files…").click()
    chooser.value.set_files(
        [{"name": "again.zip", "mimeType": "", "buffer": data}, {"name": "x.json", "mimeType": "", "buffer": b"[1]"}]
    )
    expect(dialog.get_by_text("ChatGPT: 2 already there, 1 skipped")).to_be_visible()
    expect(dialog.get_by_text("x.json is no export that is known")).to_be_visible()
    dialog.get_by_role("button", name="Oaks <b>").first.click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("log").get_by_text("A tree.")).to_be_visible()
    expect(page.get_by_role("navigation").get_by_role("link", name="Oaks <b>")).to_be_visible()

    page.get_by_role("button", name="Export chats").click()
    dialog = page.get_by_role("dialog", name="Export chats")
    dialog.get_by_label("Format").select_option("llama.cpp")
    dialog.get_by_label("Chats", exact=True).select_option("chosen")
    expect(dialog.get_by_text("Choose at least one chat.")).to_be_visible()
    dialog.get_by_label("Oaks <b>").check()
    expect(dialog.get_by_text("Chats: 1. This format has no place for: what came along from elsewhere")).to_be_visible()
    with page.expect_download() as download:
        dialog.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "Oaks b.jsonl"
    assert b'"A tree."' in Path(download.value.path()).read_bytes()


def test_an_export_on_the_message_box_is_imported_or_offered(shared: Server, open_page: Callable[..., Page]) -> None:
    page = open_page(shared.url)
    drop(page, "chatgpt.zip", exported(chatgpt("d-3")), "#fs-dock textarea")
    dialog = page.get_by_role("dialog", name="Import chats")
    expect(dialog.get_by_text("ChatGPT: 1 imported")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    # A text file becomes an attachment there, but one that looks like chats may be meant as such.
    drop(page, "conversations.json", json.dumps([chatgpt("d-4", title="Offered")]).encode(), "#fs-dock textarea")
    offer = page.get_by_role("status").filter(has_text="conversations.json looks like chats of another program.")
    offer.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("ChatGPT: 1 imported")).to_be_visible()
    expect(dialog.get_by_role("button", name="Offered")).to_be_visible()


def test_the_command_hands_the_file_to_the_server_that_runs(
    shared: Server, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page, home = open_page(shared.url), shared.log.parent / "data"
    path = tmp_path / "export.zip"
    path.write_bytes(exported(chatgpt("cli-1", title="From the terminal"), {"title": "Nothing"}))
    result = fireside("import", path, "--home", home)
    assert result.returncode == 0, result.stderr
    assert "export.zip (ChatGPT): 1 imported, 1 skipped;" in result.stdout
    assert "it has no messages" in result.stdout
    expect(page.get_by_role("navigation").get_by_role("link", name="From the terminal")).to_be_visible()
    assert "1 already there" in fireside("import", path, "--home", home).stdout
    path.write_bytes(b"{}")
    assert_refused(fireside("import", path, "--home", home), 1, "export.zip is no export that is known")
    assert_refused(fireside("import", tmp_path / "none", "--home", home), 1, "cannot read none")
    assert_refused(fireside("import", path, "--home", home, "--user", "Ann"), 1, "Ann")


@pytest.mark.parametrize("name", ["zip slip", "zip bomb", "nested zip", "deep", "no UTF-8", "no chat", "half", "empty"])
def test_hostile_files_are_refused_by_the_route(shared: Server, tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    HOSTILE[name](path)
    with urlopen(Request(f"{shared.url}/import?name=../x%00%0a", data=path.read_bytes(), method="POST")) as response:
        *_, last = response.read().splitlines()
    assert list(json.loads(last)) == ["error"]
    assert [each.name for each in shared.log.parent.glob("data/imports/*")] == []


def test_chats_are_chosen_among_more_than_the_list_has_loaded(shared: Server, open_page: Callable[..., Page]) -> None:
    page = open_page(shared.url)
    names = [f"Tree number {number}" for number in range(240)]
    lines = [json.dumps({"messages": [{"role": "user", "content": name}]}) for name in names]
    drop(page, "trees.jsonl", "\n".join(lines).encode())
    dialog = page.get_by_role("dialog", name="Import chats")
    expect(dialog.get_by_text("OpenAI messages: 240 imported")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Export chats").click()
    dialog = page.get_by_role("dialog", name="Export chats")
    dialog.get_by_label("Format").select_option("openai")
    dialog.get_by_label("Chats", exact=True).select_option("chosen")
    search = dialog.get_by_role("searchbox", name="Search the chats to choose")
    for name in (names[3], names[230]):
        search.fill(f'"{name}"')
        dialog.get_by_role("checkbox", name=name, exact=True).check()
        expect(dialog.get_by_role("checkbox", name="Tree")).to_have_count(1)
    expect(dialog.get_by_text("Chosen: 2", exact=True)).to_be_visible()
    search.fill("")
    expect(dialog.get_by_role("checkbox", name="Tree").nth(150)).to_be_attached()
    dialog.get_by_role("button", name="Show more").click()
    expect(dialog.get_by_role("checkbox", name="Tree")).to_have_count(240)
    dialog.get_by_label("Format").select_option("json")
    with page.expect_download() as download:
        dialog.get_by_role("link", name="Download").click()
    chats = json.loads(Path(download.value.path()).read_bytes())["conversations"]
    assert {chat["title"] for chat in chats} == {names[3], names[230]}
    # What the list is searched for, its tag too, and all of it that the list has not loaded.
    page.get_by_role("searchbox", name="Search chats").fill("tree number")
    expect(page.get_by_role("navigation").get_by_role("link", name="Tree").first).to_be_visible()
    page.get_by_role("button", name="Export chats").click()
    dialog.get_by_label("Chats", exact=True).select_option("found")
    expect(dialog.get_by_text("Chats: 240.")).to_be_visible()


def test_other_sites_import_nothing(shared: Server) -> None:
    request = Request(f"{shared.url}/import?name=x", data=exported(chatgpt("evil")), method="POST")
    request.add_header("Origin", "https://evil.invalid")
    with pytest.raises(HTTPError, match="403"):
        urlopen(request)
