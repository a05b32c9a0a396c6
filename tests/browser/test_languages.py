"""The page in Chinese: by the browser's language or by choice, and with no English left in any view."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from .conftest import Server

Open = Callable[..., Page]

# Names, units and keys, which are the same in Chinese.
SAME = {
    *(
        "Fireside",
        "Markdown",
        "JSON",
        "OpenAI",
        "ShareGPT",
        "llama.cpp",
        "scripted",
        *("ChatGPT", "Claude", "Open", "WebUI", "LM", "Studio", "text-generation-webui", "SillyTavern", "zip"),
        "English",
        "Top-k",
        "Top-p",
        "Min-p",
    ),
    *("Ctrl", "Shift", "Enter", "Esc", "K", "O", "F2", "MB", "GB", "cpu", "cuda"),
    # What the scripted model is and advises.
    *("scripted", "scripted.gguf", "none", "k", "top_p", "is", "above"),
}
# What is shown of our own: not what people and models wrote.
COLLECT = """() => {
  const found = [];
  const skip = ".fs-md, .fs-bubble, .fs-entry a, .fs-hit, script, style, #fs-system textarea";
  for (const element of document.body.querySelectorAll("*")) {
    const seen = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (element.closest(skip) || !seen) continue;
    for (const node of element.childNodes) if (node.nodeType === 3 && node.data.trim()) found.push(node.data.trim());
    for (const name of ["aria-label", "title", "placeholder", "alt", "data-source"]) {
      if (element.hasAttribute(name)) found.push(element.getAttribute(name));
    }
  }
  return found;
}"""


def english(page: Page) -> list[str]:
    """The texts of the page, shown or read out, that have English words."""
    words = re.compile(r"(?<![/\w.-])[A-Za-z][\w.-]*")
    return sorted({text for text in page.evaluate(COLLECT) if set(words.findall(text)) - SAME})


def say(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="消息", exact=True)
    box.fill(text)
    box.press("Enter")
    expect(page.get_by_role("article", name="Fireside").last).to_have_attribute("aria-busy", "false", timeout=30_000)


def test_no_view_has_english_left(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url, locale="zh-CN")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.get_by_role("heading", name="今天聊点什么？")).to_be_visible()
    seen = english(page)

    def look() -> None:
        seen.extend(english(page))

    page.get_by_role("button", name="设置").click()
    expect(page.get_by_role("slider", name="温度", exact=True)).to_be_visible()
    look()
    page.get_by_role("button", name="预设菜单").click()
    look()
    page.keyboard.press("Escape")
    say(page, "壁炉里有什么？")
    look()
    page.get_by_title("这个回答的数据").first.click()
    expect(page.get_by_role("tab", name="数据")).to_be_visible()
    look()
    page.get_by_role("button", name="关闭面板").click()
    for name in ("导入对话", "导出对话"):
        page.get_by_role("button", name=name).click()
        expect(page.get_by_role("dialog", name=name)).to_be_visible()
        look()
        page.keyboard.press("Escape")
    for name in ("更多", "对话菜单", "主题和语言"):
        page.get_by_role("button", name=name).last.click()
        expect(page.get_by_role("menu")).to_be_visible()
        look()
        page.keyboard.press("Escape")
    page.get_by_role("button", name="编辑").last.click()
    look()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="筛选搜索").click()
    expect(page.get_by_role("dialog", name="筛选搜索")).to_be_visible()
    look()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="回收站").click()
    expect(page.get_by_role("dialog", name="回收站")).to_be_visible()
    look()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="对话菜单").first.click()
    page.get_by_role("menuitem", name="删除").click()
    expect(page.get_by_role("status").filter(has_text="已删除")).to_be_visible()
    look()
    page.get_by_role("button", name="归档").click()
    look()
    page.goto(f"{shared.url}/?c=nothing")
    expect(page.get_by_role("alert").filter(has_text="此对话已不在这里。")).to_be_visible()
    look()
    assert "\n".join(sorted(set(seen))) == ""


def test_the_language_is_chosen_and_remembered(shared: Server, open_page: Open) -> None:
    page = open_page(shared.url, locale="en-GB")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("button", name="Theme and language").click()
    page.get_by_role("menuitemradio", name="简体中文").click()
    expect(page.get_by_role("textbox", name="消息", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="新对话")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_role("button", name="主题和语言").click()
    expect(page.get_by_role("menuitemradio", name="简体中文")).to_have_attribute("aria-checked", "true")
    page.get_by_role("menuitemradio", name="浏览器的语言").click()
    expect(page.get_by_role("button", name="New chat")).to_be_visible()


@pytest.mark.parametrize("locale", ["zh-TW", "zh"])
def test_every_chinese_is_simplified_chinese(shared: Server, open_page: Open, locale: str) -> None:
    page = open_page(shared.url, locale=locale)
    expect(page.get_by_role("textbox", name="消息", exact=True)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
