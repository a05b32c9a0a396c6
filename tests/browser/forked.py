"""Processes that begin with everything imported, which takes seconds otherwise: forks of one that has."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["app.cli", "app.server", "engine", "numba", "tests.browser.scripted_server"])


class Forked:
    """A process of its own that runs main(arguments), with its output in a log; what tests use of Popen.

    Its environment is that of the first one's start.
    """

    def __init__(self, main: Callable[[Sequence[str]], int], arguments: Sequence[str], log: Path) -> None:
        self._process = _forks.Process(target=_run, args=(main, arguments, log), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def _run(main: Callable[[Sequence[str]], int], arguments: Sequence[str], log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.exit(main(arguments))
