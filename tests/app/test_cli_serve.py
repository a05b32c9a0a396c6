"""`fireside serve` as a process: it starts, says where it is and how the model comes, and ends cleanly."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.machine import free_port
from tests.app import plain_http
from tests.app.command import FIRESIDE, ROOT
from tests.package_index import point_pip_at
from weights import DEFAULT

LIMIT_SECONDS = 90


class Server:
    """A server process, with everything it has printed so far in `said`."""

    def __init__(self, *arguments: str | Path) -> None:
        port = str(free_port())
        self.url = f"http://127.0.0.1:{port}"
        self.said = ""
        self.process = subprocess.Popen(
            [*FIRESIDE, "serve", "--no-browser", "--port", port, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, text: str) -> None:
        """Until it has printed `text`."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while text not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> int:
        """Its exit code after this signal."""
        self.process.send_signal(number)
        code = self.process.wait(LIMIT_SECONDS)
        self._reader.join()
        assert self.process.stdout
        self.process.stdout.close()
        return code

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said += line


@contextmanager
def server(*arguments: str | Path) -> Iterator[Server]:
    server = Server(*arguments)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_the_page_until_it_is_told_to_end(number: signal.Signals, tmp_path: Path, model_path: Path) -> None:
    with server("--home", tmp_path / "home", "--models", model_path.parents[1]) as running:
        running.wait_for(running.url)
        assert "Fireside" in plain_http.get(running.url).text
        assert (tmp_path / "home" / "kv").is_dir()
        assert running.end(number) == 0
        assert "Traceback" not in running.said
        assert "fireside:" not in running.said


def test_a_model_that_cannot_be_had_is_told_in_the_terminal_and_the_page_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_pip_at("http://127.0.0.1:9/simple/", monkeypatch)
    with server("--home", tmp_path / "home", "--models", tmp_path / "models") as running:
        running.wait_for(running.url)
        running.wait_for(str(DEFAULT.path_in(tmp_path / "models")))
        assert running.said.count("fireside: ") == 1
        assert plain_http.get(f"{running.url}/status").json()["status"] == "failed"
        assert running.end(signal.SIGTERM) == 0
