"""The language of the page: which one a request asks for, and our own texts in it.

The key of a translation is the English text, `{name}` where a value goes; what has no Chinese stays English. Finished
English sentences of other rooms, such as errors, are recognized by the same templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from functools import cache
from http.cookies import CookieError, SimpleCookie

from starlette.types import ASGIApp, Receive, Scope, Send

from app.ui.zh import CHINESE

ENGLISH = "en"
SIMPLIFIED_CHINESE = "zh-CN"
# Set by the page where its user has chosen a language; else the browser's languages decide.
COOKIE = "fireside_language"
# Errors within errors: a reason, and the reason of that.
DEPTH = 3
LONGEST = 4_000

current: ContextVar[str] = ContextVar("language", default=ENGLISH)


class LanguageOfRequest:
    """ASGI middleware that sets `current` while a request is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = current.set(language_of(scope["headers"]) if scope["type"] == "http" else ENGLISH)
        try:
            await self._app(scope, receive, send)
        finally:
            current.reset(token)


def language_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The language that a request's headers ask for: the cookie's, else the first that we have of the browser's.

    Every kind of Chinese is Simplified Chinese.
    """
    found = {name.lower(): value.decode("latin-1") for name, value in headers}
    cookies = SimpleCookie()
    try:
        cookies.load(found.get(b"cookie", ""))
    except CookieError:
        cookies.clear()
    if COOKIE in cookies and cookies[COOKIE].value in (ENGLISH, SIMPLIFIED_CHINESE):
        return cookies[COOKIE].value
    for wanted in _by_quality(found.get(b"accept-language", "")):
        if wanted.split("-")[0] in ("en", "zh"):
            return SIMPLIFIED_CHINESE if wanted.startswith("zh") else ENGLISH
    return ENGLISH


def t(text: str, **values: object) -> str:
    """A text of ours in the language of the request that is being answered: `t("Renamed to {name}.", name=name)`."""
    template = CHINESE.get(text, text) if current.get() == SIMPLIFIED_CHINESE else text
    return _filled(template, {name: str(value) for name, value in values.items()})


def told(english: str) -> str:
    """A finished English sentence in the language of the request, as far as it was made from a known template."""
    return _told(english, DEPTH) if current.get() == SIMPLIFIED_CHINESE else english


def _told(english: str, depth: int) -> str:
    if not depth or len(english) > LONGEST:
        return english
    for template, chinese in CHINESE.items():
        if (values := _values(template, english)) is not None:
            return _filled(chinese, {name: _told(value, depth - 1) for name, value in values.items()})
    return english


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), template)


@cache
def _parts(template: str) -> tuple[str, ...]:
    """What stands between values, and their names: text, name, text, name, text."""
    return tuple(re.split(r"\{(\w+)\}", template))


def _values(template: str, text: str) -> dict[str, str] | None:
    """The values with which a template makes a text; None if it does not. Takes time linear in the text."""
    beginning, *rest = _parts(template)
    if not rest:
        return {} if text == beginning else None
    *middle, end = rest
    if not text.startswith(beginning) or not text.endswith(end):
        return None
    values: dict[str, str] = {}
    at, last = len(beginning), len(text) - len(end)
    for name, literal in zip(middle[::2], [*middle[1::2], ""], strict=True):
        until = text.find(literal, at, last) if literal else last
        if until < at:
            return None
        values[name] = text[at:until]
        at = until + len(literal)
    return values


def _by_quality(header: str) -> list[str]:
    """The languages of an Accept-Language header, the most wanted first (RFC 9110, section 12.5.4)."""
    weighted: list[tuple[float, str]] = []
    for each in header.lower().split(",")[:20]:
        name, _, quality = each.partition(";")
        match = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", quality)
        weight = float(match[1]) if match else float(not quality)
        if weight:
            weighted.append((-weight, name.strip()))
    return [name for _, name in sorted(weighted, key=lambda pair: pair[0])]
