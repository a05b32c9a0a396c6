"""A model hub on this machine: a real HTTP server that the real `huggingface_hub` talks to, and that can misbehave."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import pytest

CHUNK_BYTES = 16 << 10
LIMIT_SECONDS = 20.0
LFS_SUFFIXES = (".safetensors", ".gguf", ".bin")


class Sent(NamedTuple):
    """A file's bytes that were sent: from `start`, `count` of them, to whoever came with this authorization."""

    name: str
    start: int
    count: int
    authorization: str | None


@dataclass
class Repository:
    """files: contents by name. listed: entries of the listing that replace the true ones, by name; None removes one.

    commit: changes with the files, as git's does.
    """

    files: dict[str, bytes]
    listed: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    revisions: tuple[str, ...] = ("main",)
    licence: str = "apache-2.0"

    @property
    def commit(self) -> str:
        return hashlib.sha1(b"\0".join(name.encode() + data for name, data in sorted(self.files.items()))).hexdigest()

    def listing(self, name: str) -> dict[str, Any]:
        """What the hub's API says of the repository, files and digests included."""
        entries = {file: _entry(file, data) for file, data in self.files.items()}
        for file, entry in self.listed.items():
            entries[file] = {**entries.get(file, {"rfilename": file, "size": 1}), **entry} if entry else {}
        return {
            "id": name,
            "sha": self.commit,
            "cardData": {"license": self.licence},
            "siblings": [entry for entry in entries.values() if entry],
        }


def _entry(name: str, data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob}
    if name.endswith(LFS_SUFFIXES):
        sha256 = hashlib.sha256(data).hexdigest()
        entry |= {"blobId": "0" * 40, "lfs": {"size": len(data), "sha256": sha256, "pointerSize": 134}}
    return entry


class ModelHub:
    """Serves repositories at `url`: their listing, and their files by byte ranges, the large ones behind a redirect.

    cut_after: close each connection for a large file after this many bytes. pause: seconds of sleep before each
    16 KiB of one. ranges: whether byte ranges are understood. refuse: answer everything below this path with this
    status and these headers. answer: body of every listing instead of the true one. token: what a client must show.
    storage: address of the hub that serves the large files, this one unless said otherwise.
    sent, paths, agents: what was sent, asked for, and by whom, in order.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.cut_after: int | None = None
        self.pause = 0.0
        self.ranges = True
        self.refuse: tuple[str, int, dict[str, str]] | None = None
        self.answer: bytes | None = None
        self.token: str | None = None
        self.storage: str | None = None
        self._sent: list[Sent] = []
        self._under_way = 0
        self._changed = threading.Condition()
        self.paths: list[str] = []
        self.agents: set[str] = set()
        self._closing = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def sent(self) -> list[Sent]:
        """What has been sent, once no answer is under way any more."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._under_way == 0, LIMIT_SECONDS)
            return self._sent

    @contextmanager
    def answering(self) -> Iterator[list[Sent]]:
        """Around each answer; gives the list to note it in."""
        with self._changed:
            self._under_way += 1
        try:
            yield self._sent
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def add(self, name: str, files: dict[str, bytes]) -> Repository:
        self.repositories[name] = Repository(files)
        return self.repositories[name]

    def bytes_sent(self, name: str) -> int:
        """How many bytes of a file have been sent in all."""
        return sum(sent.count for sent in self.sent if sent.name == name)

    def wait(self) -> bool:
        """Sleep for the pause; False once the hub is closing."""
        return not self._closing.wait(self.pause)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: ModelHub
    sent: list[Sent]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with self.hub.answering() as self.sent:
            self._answer()

    def _answer(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.paths.append(path)
        hub.agents.add(self.headers.get("User-Agent", ""))
        if hub.refuse and path.startswith(hub.refuse[0]):
            return self._send(hub.refuse[1], b'{"error": "refused"}', hub.refuse[2])
        if hub.token and not path.startswith("/cdn/") and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        words = path.strip("/").split("/")
        if words[:2] == ["api", "models"]:
            return self._send_listing("/".join(words[2:4]), "/".join(words[5:]) or "main")
        if words[0] == "cdn":
            return self._send_file("/".join(words[1:3]), "/".join(words[3:]))
        return self._resolve("/".join(words[:2]), words[3], "/".join(words[4:]))

    def _send_listing(self, name: str, revision: str) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if revision not in (*repository.revisions, repository.commit):
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        answer = self.hub.answer or json.dumps(repository.listing(name)).encode()
        return self._send(200, answer, {"Content-Type": "application/json", "X-HF-Warning": "topic; log in!"})

    def _resolve(self, name: str, commit: str, file: str) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None or commit != repository.commit or file not in repository.files:
            return self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        if file.endswith(LFS_SUFFIXES):
            headers = {"Location": f"{self.hub.storage or self.hub.url}/cdn/{name}/{file}", "X-Repo-Commit": commit}
            headers["X-Linked-Size"] = str(len(repository.files[file]))
            return self._send(302, b"", headers)
        return self._send_file(name, file)

    def _send_file(self, name: str, file: str) -> None:
        data = self.hub.repositories[name].files[file]
        requested = self.headers.get("Range") if self.hub.ranges else None
        start = int(requested.removeprefix("bytes=").rstrip("-")) if requested else 0
        if start and start >= len(data):
            return self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        return self._send_bytes(file, data, start)

    def _send_bytes(self, file: str, data: bytes, start: int) -> None:
        large = file.endswith(LFS_SUFFIXES)
        end = min(len(data), start + self.hub.cut_after) if large and self.hub.cut_after is not None else len(data)
        count = 0
        try:
            for begin in range(start, end, CHUNK_BYTES):
                if large and self.hub.pause and not self.hub.wait():
                    break
                piece = data[begin : min(begin + CHUNK_BYTES, end)]
                self.wfile.write(piece)
                count += len(piece)
        except ConnectionError:
            pass  # the client was told to stop
        self.sent.append(Sent(file, start, count, self.headers.get("Authorization")))
        self.close_connection = end < len(data)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def point_hub_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub, here and in child processes, know this hub and no other, and nobody's token."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    # Here the library has read the variable already, when it was imported.
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
