"""The outermost layer of the server: who may ask, what may be asked, and what every answer says to the browser."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Collection, Iterable
from urllib.parse import quote, unquote, urlsplit

from anyio import to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.workspace import Person

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# A message has at most 1,100,000 characters; refusing one politely takes reading it.
MAX_BODY_BYTES = 16 * 1024 * 1024
# A file to be imported goes to the disk as it comes.
MAX_IMPORT_BYTES = 8 * 1024 * 1024 * 1024

# Browsers send few, and no cookie of ours is large.
MAX_HEADER_BYTES = 32 * 1024

# What the page asks of Gradio, and our own routes. Gradio has many more (files, uploads, proxies, tokens).
ALLOWED_PATHS = re.compile(
    r"/"
    r"|/(?:fireside|assets|static)/[\w./-]+"
    r"|/(?:theme\.css|favicon\.ico|status|health|models|login|logout|account|import|changes|tokens)"
    r"|/control(?:/(?:replay|chat))?|/engine(?:/(?:look|use|back))?"
    r"|/conversations(?:/rows)?"
    r"|/stream/[\w-]+"
    r"|/inside(?:/[\w-]+){1,3}"
    r"|/export|/(?:export|left-out)/[a-z]+(?:[.-][a-z]+)?(?:/[\w,-]+)?"
    r"|/presets/[\w-]+\.json"
    r"|/v1(?:/[\w.:@+-]+)+|/(?:tokenize|detokenize|metrics|openapi\.json)"
    r"|/gradio_api/(?:run/predict|app_id)"
)
# What anyone may ask for, logged in or not.
OPEN_PATHS = re.compile(r"/(?:health|favicon\.ico|login)|/fireside/[\w./-]+")
# Here the route asks for something else itself: the API for a key, the terminal's commands for their secret.
KEY_PATHS = re.compile(r"/v1/.+|/(?:tokenize|detokenize|metrics|openapi\.json|control(?:/(?:replay|chat))?)")

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; frame-src 'none'; frame-ancestors 'none'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    # Nothing to other sites; with `no-referrer`, browsers give forms no Origin, such as the login's.
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """ASGI middleware; passes bodies through piece by piece, so that streams stay streams.

    Refuses with one line of text, or with the error that clients of the API read: a Host that is not in `hosts` (421:
    another site's name may point here), requests from other sites (403), paths that neither the page nor the API has
    (404), bodies (413) and headers (431) that are too large, web sockets. Adds the security headers and drops
    `access-control-*`, also on refusals.

    who: finds out who asks, None for nobody; that person is in the scope as `user` from here on (`app.workspace`).
    Nobody gets nothing (401, or the login page in place of the page) but OPEN_PATHS; KEY_PATHS ask for a key
    themselves.
    hosts: names this server is known by. addresses: whether it may also be asked for by any IP address, as beyond
    this computer, where its own are not known; no other site's name can be one.
    """

    def __init__(
        self,
        app: ASGIApp,
        who: Callable[[Scope], Person | None],
        hosts: Collection[str] = LOOPBACK_NAMES,
        *,
        addresses: bool = False,
    ) -> None:
        self._app = app
        self._addresses = addresses
        self._who = who
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _guarded(message.get("headers", ()))}
            await send(message)

        if refusal := self._refusal(scope):
            await _refuse(send_guarded, scope, *refusal)
            return
        scope = {**scope, "user": None}
        if not (OPEN_PATHS.fullmatch(scope["path"]) or _asks_for_a_key(scope)):
            # In a thread: the answer is in the database.
            scope["user"] = await to_thread.run_sync(self._who, scope)
            if scope["user"] is None:
                await _ask_to_log_in(send_guarded, scope)
                return
        await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            return 431, f"The headers of a request may have at most {MAX_HEADER_BYTES:,} bytes."
        headers = _single(scope["headers"])
        host = headers.get("host", "")
        if not self._is_known(_host_name(host)):
            return 421, "This server answers only to its own address."
        if scope["method"] not in SAFE_METHODS and not _same_origin(headers, host):
            return 403, "Requests from other sites are refused."
        if not _allowed(scope["path"]):
            return 404, "There is nothing at this address."
        length = headers.get("content-length", "0")
        most = MAX_IMPORT_BYTES if scope["path"] == "/import" else MAX_BODY_BYTES
        if not (length.isascii() and length.isdecimal()) or len(length) > 15 or int(length) > most:
            return 413, f"Requests may have at most {most:,} bytes."
        if "transfer-encoding" in headers and scope["method"] not in SAFE_METHODS:
            return 413, "Requests must say how long they are."
        return None

    def _is_known(self, name: str | None) -> bool:
        return name in self._hosts or (self._addresses and name is not None and _is_address(name))


def _asks_for_a_key(scope: Scope) -> bool:
    # By other methods, what is not below /v1 is Gradio's.
    own = scope["path"].startswith("/v1/") or scope["method"] in ("GET", "POST")
    return own and KEY_PATHS.fullmatch(scope["path"]) is not None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _allowed(path: str) -> bool:
    # Decoded once by the server; once more, so that nothing hides behind a second encoding.
    plain = unquote(path)
    return ".." not in plain and "//" not in plain and ALLOWED_PATHS.fullmatch(plain) is not None


def _same_origin(headers: dict[str, str], host: str) -> bool:
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _host_name(host: str) -> str | None:
    """The name without the port; None if it is malformed."""
    match = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?", host.lower())
    return (match[1] or match[2]) if match else None


def _single(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; of one that is there twice, all values, which no check accepts."""
    found: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _guarded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    ours = {name for name, _ in SECURITY_HEADERS}
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() not in ours and not name.lower().startswith(b"access-control-")
    ]
    return [*kept, *SECURITY_HEADERS]


async def _ask_to_log_in(send: Send, scope: Scope) -> None:
    """To the login page from the page, from where it leads back; 401 for all else."""
    if scope["path"] != "/" or scope["method"] != "GET":
        await _refuse(send, scope, 401, "Log in first.")
        return
    query = scope.get("query_string", b"").decode("latin-1")
    to = f"/login?next={quote(f'/?{query}' if query else '/', safe='')}"
    headers = [(b"location", to.encode()), (b"content-length", b"0"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(send: Send, scope: Scope, status: int, text: str) -> None:
    body, kind = f"{text}\n".encode(), b"text/plain; charset=utf-8"
    if scope["path"].startswith("/v1/") or _asks_for_a_key(scope):
        # Clients of the API read its own kind of refusal.
        error = {"message": text, "type": "invalid_request_error", "param": None, "code": None}
        body, kind = json.dumps({"error": error}).encode(), b"application/json"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
