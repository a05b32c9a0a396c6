"""Every text of the page is there in Chinese: scanned from the sources, so that no new one is forgotten."""

from __future__ import annotations

import ast
import errno
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.ui.language import SIMPLIFIED_CHINESE, current, language_of, t, told
from app.ui.views import sentence
from app.ui.zh import CHINESE, drawer
from weights import UnknownModel
from weights.catalog import CATALOG
from weights.models_folder import plain
from weights.reference import parse_reference

UI = Path(__file__).parents[2] / "app" / "ui"
SCRIPTS = sorted(file for file in (UI / "assets" / "js").rglob("*.js") if file.parent.name != "zh")
STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
PLACEHOLDER = re.compile(r"\{(\w+)\}")
# Reads as words for people: a capital, then small letters.
WORDS = re.compile(r"[A-Z][a-z]+(?:[ …,.].*)?")
# Names that are the same in every language, and names of keys and of the browser's things.
NAMES = {"Fireside", "English", "Markdown", "ShareGPT", "GitHub", "Claude", "Open WebUI", "LM Studio", "SillyTavern"}
NOT_SHOWN = re.compile(
    r"Arrow\w+|Escape|Enter|Tab|Home|End|Delete|Infinity|Page\w+|Control|Files|Shift|Alt|Meta|Ctrl|Del|Esc|Z"
)


def dictionary() -> dict[str, str]:
    """The browser's Chinese, read from its files."""
    found: dict[str, str] = {}
    for file in sorted((UI / "assets" / "js" / "zh").glob("*.js")):
        for key, text in re.findall(r'^ *"((?:[^"\\\n]|\\.)+)":\s+"((?:[^"\\\n]|\\.)*)",$', file.read_text(), re.M):
            assert _plain(key) not in found, f"{key!r} is translated twice: what several parts use is in common.js"
            found[_plain(key)] = _plain(text)
    return found


def _plain(literal: str) -> str:
    return ast.literal_eval(f'"{literal}"')


def without_comments(source: str) -> str:
    return re.sub(r"^\s*//.*$|\s//\s.*$|/\*[^*]*(?:\*[^/][^*]*)*\*/", "", source, flags=re.M)


def calls(source: str) -> Iterator[str]:
    """The first argument of each call of `t`."""
    for match in re.finditer(r"(?<![\w.$])t\(", source):
        depth, quoted, at = 0, False, match.end()
        while at < len(source):
            sign = source[at]
            if sign == "\\":
                at += 1
            elif sign == '"':
                quoted = not quoted
            elif not quoted and sign in "([{":
                depth += 1
            elif not quoted and ((sign == "," and depth == 0) or (sign in ")]}" and (depth := depth - 1) < 0)):
                break
            at += 1
        yield source[match.end() : at]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_text_of_the_browser_is_translated(script: Path) -> None:
    source = without_comments(script.read_text())
    known, asked = dictionary(), list(calls(source))
    for argument in asked:
        texts = [_plain(text) for text in STRING.findall(argument)]
        if script.name != "i18n.js":
            assert texts, f"t({argument}) hides its text from this test: write it out"
        for text in texts:
            if re.search(r"[A-Za-z]{2}", text):
                assert text in known, f"no Chinese for {text!r} in assets/js/zh/"
    shown = re.sub(r"(?<![\w.$])t\((?:[^()]|\([^()]*\))*\)", "", source)
    stray = [text for text in STRING.findall(shown) if WORDS.fullmatch(text) and not NOT_SHOWN.fullmatch(text)]
    assert [text for text in stray if text not in NAMES] == [], "written without t(...)"


def test_the_dictionary_has_nothing_that_is_not_used() -> None:
    sources = "".join(script.read_text() for script in SCRIPTS)
    assert [text for text in dictionary() if json.dumps(text, ensure_ascii=False) not in sources] == []


def test_values_stand_in_both_languages() -> None:
    for english, chinese in (dictionary() | CHINESE).items():
        assert set(PLACEHOLDER.findall(english)) >= set(PLACEHOLDER.findall(chinese)), chinese
        assert chinese.strip()


def test_every_text_that_python_makes_for_the_page_is_translated() -> None:
    for file in sorted(UI.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("t", "label"):
                given = node.args[0]
                texts = [each.value for each in ast.walk(given) if isinstance(each, ast.Constant)]
                for text in texts:
                    assert text in (CHINESE if node.func.id == "t" else drawer.CHINESE), f"{file.name}: {text!r}"


def test_sliders_and_choices_are_translated() -> None:
    from app.ui.settings import POLICY_CHOICES, RANGES

    texts = [*(each.label for each in RANGES), *(each.info for each in RANGES), *(text for text, _ in POLICY_CHOICES)]
    assert [text for text in texts if text not in drawer.CHINESE] == []


def test_the_language_is_the_chosen_one_or_the_browsers_first() -> None:
    def asked(accept: str, cookie: str = "") -> str:
        return language_of([(b"accept-language", accept.encode()), (b"cookie", cookie.encode())])

    for chinese in ("zh-CN,zh;q=0.9,en;q=0.8", "zh", "zh-TW", "zh-Hans-CN", "ZH-hk", "fr, zh;q=0.5, en;q=0.4"):
        assert asked(chinese) == SIMPLIFIED_CHINESE
    for english in ("en-GB,zh;q=0.5", "", "fr", "zh;q=0", "zh;q=x, en;q=0.1", "en;q=0.9,zh;q=0.8,*"):
        assert asked(english) == "en"
    assert asked("en", "a=b; fireside_language=zh-CN") == SIMPLIFIED_CHINESE
    assert asked("zh", "fireside_language=en") == "en"
    assert asked("en", "fireside_language=<script>") == "en"


def test_sentences_of_other_rooms_are_recognized() -> None:
    english = "the message has 1,200,000 characters, but at most 1,000,000 are possible: shorten it or send it in parts"
    assert told(english) == english
    token = current.set(SIMPLIFIED_CHINESE)
    try:
        assert told(english) == "这条消息有 1,200,000 个字符，但最多只能有 1,000,000 个：请缩短或分几次发送"
        assert told("nothing that anybody has translated") == "nothing that anybody has translated"
        # What a value brings along is no template.
        assert t("Saved the preset {name}.", name="{name} {id}") == "已保存预设“{name} {id}”。"
        assert told("x" * 1_000_000) == "x" * 1_000_000
    finally:
        current.reset(token)


def test_why_a_model_is_not_there_is_told_in_chinese() -> None:
    with pytest.raises(UnknownModel) as unknown:
        parse_reference("no name at all")
    full = plain(OSError(errno.ENOSPC, "No space left on device"), Path("models"))
    denied = plain(OSError(errno.EACCES, "Permission denied"), Path("models"))
    titles = [each.title for each in CATALOG.values() if "," in each.title]
    assert titles
    token = current.set(SIMPLIFIED_CHINESE)
    try:
        assert told(str(unknown.value)).startswith("'no name at all' 不是")
        assert told(str(full)).startswith("models 所在的磁盘已满")
        assert told(str(denied)).startswith("无法写入模型文件夹 models（Permission denied）")
        assert [title for title in titles if told(title) == title] == []
    finally:
        current.reset(token)


def test_a_sentence_does_not_change_the_name_it_begins_with() -> None:
    assert sentence("the disk is full") == "The disk is full"
    assert sentence("tiny.gguf is ready") == "tiny.gguf is ready"
    assert sentence("smollm2-135m-instruct: not found") == "smollm2-135m-instruct: not found"
    assert sentence("") == ""
