"""The guard: who may ask for what, and what every answer carries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.guard import MAX_BODY_BYTES, MAX_HEADER_BYTES, SECURITY_HEADERS, Guard
from app.workspace import OWNER

HOST = ("host", "127.0.0.1:7860")


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers everything with its path, in two pieces, and with Gradio's permissive headers."""
    headers = [
        (b"access-control-allow-origin", b"http://evil.invalid"),
        (b"Access-Control-Allow-Credentials", b"true"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.body", "body": b"two"})


def ask(method: str = "GET", path: str = "/", *headers: tuple[str, str], kind: str = "http") -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    scope: dict[str, Any] = {"type": kind, "method": method, "path": path, "headers": raw}
    asyncio.run(Guard(inner, lambda scope: OWNER)(scope, receive, send))
    return sent


def status(method: str = "GET", path: str = "/", *headers: tuple[str, str]) -> int:
    return ask(method, path, *headers)[0]["status"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:7860", "localhost:1", "LOCALHOST", "[::1]:7860", "[::1]"])
def test_own_names_are_answered(host: str) -> None:
    assert status("GET", "/", ("host", host)) == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "[",
        "evil.invalid",
        "evil.invalid:7860",
        "127.0.0.1.evil.invalid",
        "localhost@evil.invalid",
        "localhost:1:2",
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert status("GET", "/", ("host", host)) == 421


def test_two_hosts_or_none_are_refused() -> None:
    assert status("GET", "/") == 421
    assert status("GET", "/", HOST, ("host", "evil.invalid")) == 421


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("origin", "http://127.0.0.1:7860", 200),
        ("origin", "http://127.0.0.1:7861", 403),
        ("origin", "http://evil.invalid", 403),
        ("origin", "null", 403),
        ("origin", "http://[", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("sec-fetch-site", "none", 200),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "cross-site", 403),
    ],
)
def test_other_sites_may_not_post(name: str, value: str, expected: int) -> None:
    assert status("POST", "/gradio_api/run/predict", HOST, (name, value)) == expected


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/",
            "/status",
            "/health",
            "/stream/01ABC",
            "/export/md/01ABC",
            "/presets/balanced.json",
            "/theme.css",
            "/assets/index-a1.js",
        ),
        *("/fireside/0123/js/main.js", "/static/fonts/x.woff2", "/gradio_api/run/predict", "/gradio_api/app_id"),
        *("/v1/models", "/v1/models/org/name-1.5:q4", "/v1/chat/completions", "/tokenize", "/metrics", "/openapi.json"),
    ],
)
def test_what_the_page_and_the_api_use_is_there(path: str) -> None:
    assert status("GET", path, HOST) == 200


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/gradio_api/file=http://evil.invalid",
            "/gradio_api/file/http://evil.invalid",
            "/gradio_api/file=/etc/passwd",
        ),
        *(
            "/gradio_api/proxy=http://evil.invalid",
            "/gradio_api/token",
            "/gradio_api/upload",
            "/monitoring/summary",
        ),
        *(
            "/gradio_api/info",
            "/gradio_api/run/other",
            "/GRADIO_API/run/predict",
            "/docs",
            "/gradio_api/openapi.json",
        ),
        *(
            "/assets/../app.py",
            "/assets/%2e%2e/app.py",
            "/assets/%252e",
            "//evil.invalid",
            "/stream/a/b",
            "/export/md/..",
            "/v1/models/../files",
        ),
    ],
)
def test_everything_else_is_not(path: str) -> None:
    assert status("GET", path, HOST) == 404


@pytest.mark.parametrize("length", [str(MAX_BODY_BYTES + 1), "9" * 30, "-1", "1e3", "१"])
def test_bodies_have_an_end(length: str) -> None:
    raw = length.encode().decode("latin-1")
    assert status("POST", "/gradio_api/run/predict", HOST, ("content-length", raw)) == 413
    assert status("POST", "/gradio_api/run/predict", HOST, ("transfer-encoding", "chunked")) == 413


def test_web_sockets_are_closed() -> None:
    assert ask("GET", "/", HOST, kind="websocket") == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("path", ["/", "/gradio_api/token"])
def test_answers_and_refusals_carry_the_headers(path: str) -> None:
    headers = ask("GET", path, HOST)[0]["headers"]
    assert set(SECURITY_HEADERS) <= set(headers)
    assert not [name for name, _ in headers if name.lower().startswith(b"access-control")]


def test_bodies_pass_piece_by_piece() -> None:
    bodies = [message["body"] for message in ask("GET", "/", HOST)[1:]]
    assert bodies == [b"one", b"two"]


def test_headers_have_a_limit() -> None:
    assert status("GET", "/", HOST, ("x-long", "a" * (MAX_HEADER_BYTES - 200))) == 200
    assert status("GET", "/", HOST, ("x-long", "a" * MAX_HEADER_BYTES)) == 431
    assert status("GET", "/", HOST, *[("x-many", "a" * 100)] * 400) == 431
