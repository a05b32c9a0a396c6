"""Conversations as one web page that needs nothing else: to read offline, to print, to send to somebody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from app.store import Message
from app.transfer.chat import Chat
from app.transfer.markdown import HEADINGS, UNTITLED, made_by, minute

STYLES = Path(__file__).with_name("page.css")
# Text is shown whatever it says: the page may load nothing and run nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
LINKS = ("https://", "http://", "mailto:")
# Longer code is shown in one colour: some lexers take very long for what nobody reads in colours anyway.
MOST_HIGHLIGHTED = 50_000


def write(chats: Iterable[Chat], all_branches: bool = False) -> Iterator[str]:
    """Of each conversation the branch that is shown, with thoughts folded and code in colours, light and dark."""
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
    )
    head = True
    for chat in chats:
        title = escape(chat.conversation.title or UNTITLED)
        if head:
            yield f"<title>{title}</title>\n<style>\n{_styles()}</style>\n</head>\n<body>\n"
            head = False
        yield f"<main>\n<h1>{title}</h1>\n<p class=made>{minute(chat.conversation.created_at)}</p>\n"
        if chat.conversation.system_prompt.strip():
            yield _article("system", "", _rendered(chat.conversation.system_prompt), "")
        for message in chat.path:
            yield _article(message.role, _thoughts(message), _rendered(message.content), escape(made_by(message)))
        yield "</main>\n"
    if head:
        yield "<title>Fireside</title>\n</head>\n<body>\n"
    yield "</body>\n</html>\n"


def _article(role: str, thoughts: str, body: str, made: str) -> str:
    foot = f"<p class=made>{made}</p>\n" if made else ""
    return f"<article class={role}>\n<h2>{HEADINGS[role]}</h2>\n{thoughts}{body}{foot}</article>\n"


def _thoughts(message: Message) -> str:
    if not message.reasoning:
        return ""
    return f"<details>\n<summary>Thoughts</summary>\n{_rendered(message.reasoning)}</details>\n"


@cache
def _markdown() -> MarkdownIt:
    """Without HTML, and without pictures: those are shown as links, since nothing is to be fetched."""
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True, "highlight": _highlighted})
    markdown.validateLink = lambda url: url.lower().startswith(LINKS)
    return markdown.enable(["table", "strikethrough"]).disable("image")


def _rendered(text: str) -> str:
    return _markdown().render(text)


def _highlighted(code: str, language: str, _attributes: str) -> str:
    """Code as Pygments colours it, in spans; without a known language just the code."""
    try:
        lexer = get_lexer_by_name(language) if language and len(code) <= MOST_HIGHLIGHTED else None
    except ClassNotFound:
        lexer = None
    body = highlight(code, lexer, HtmlFormatter(nowrap=True)) if lexer else escape(code)
    return f"<pre><code>{body}</code></pre>"


@cache
def _styles() -> str:
    light = HtmlFormatter(style="friendly").get_style_defs("pre")
    dark = HtmlFormatter(style="github-dark").get_style_defs("pre")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n{STYLES.read_text('utf-8')}"
