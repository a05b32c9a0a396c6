"""A server whose replies a test writes byte for byte."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[["Handler"], None]
CARD = {"id": "tiny", "object": "model", "owned_by": "vllm", "max_model_len": 500}


class Handler(BaseHTTPRequestHandler):
    """One request; its JSON is in `body`."""

    server: Scripted
    body: Any

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            return self.json({"data": [self.server.card]}) if "models" not in self.server.pages else self.page("models")
        return self.page(self.path)

    def page(self, path: str) -> None:
        """A reply to GET, or to POST beside the one for answers."""
        if path not in self.server.pages:
            self.json({"error": {"message": "no such place"}}, 404)
            return
        page = self.server.pages[path]
        if callable(page):
            page(self)
        else:
            self.json(page)

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.hosts.add(self.headers["Host"])
        self.server.requests.append((self.path, self.body))
        if self.path != "/v1/chat/completions":
            return self.page(self.path)
        try:
            self.server.reply(self)
        except OSError:
            self.server.gone.set()

    def json(self, value: Any, status: int = 200, **headers: str) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(data)

    def begin(self, kind: str = "text/event-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def say(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()


class Scripted(ThreadingHTTPServer):
    """reply: what POST /v1/chat/completions does. gone: set once a client has closed its connection. pages: what other
    paths reply, a value or what is done; "models" in place of the list with the one card."""

    daemon_threads = True

    def __init__(self, reply: Reply, card: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply = reply
        self.card = card
        self.hosts: set[str] = set()
        self.pages: dict[str, Any] = {}
        self.requests: list[tuple[str, Any]] = []
        self.gone = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: socket.socket | Any, client_address: Any) -> None:
        self.gone.set()


@contextmanager
def scripted(reply: Reply, card: dict[str, Any] = CARD) -> Iterator[Scripted]:
    server = Scripted(reply, card)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def delta(text: str | None = None, reason: str | None = None, **more: Any) -> bytes:
    """An event of a streamed answer."""
    choice = {"index": 0, "delta": {"content": text, **more}, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def stream(*pieces: bytes) -> Reply:
    """An event stream of these bytes, each sent by itself."""

    def reply(handler: Handler) -> None:
        handler.begin()
        for piece in pieces:
            handler.say(piece)

    return reply
