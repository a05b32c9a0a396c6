"""Processes that begin with everything imported, which takes seconds otherwise: forks of one that has."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

# Before any test changes it: what is read by an import stays as it is here.
ENVIRONMENT = dict(os.environ)

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["app.cli", "app.server", "engine", "numba"])

Main = Callable[[Sequence[str]], int]


class Forked:
    """A process of its own that runs main(arguments), with its output added to files; what tests use of Popen.

    It has this process's environment, but for what is read when something is imported.
    """

    def __init__(
        self, main: Main, arguments: Sequence[str], output: Path, errors: Path | None = None, stdin: Path | None = None
    ) -> None:
        files = (stdin or Path(os.devnull), output, errors or output)
        with patch.dict(os.environ, ENVIRONMENT, clear=True):
            forkserver.ensure_running()
        self._process = _forks.Process(
            target=_run, args=(main, arguments, files, dict(os.environ), Path.cwd()), daemon=True
        )
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


def _run(
    main: Main, arguments: Sequence[str], files: tuple[Path, Path, Path], environment: Mapping[str, str], folder: Path
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for stream, file in enumerate(files):
        mode = os.O_WRONLY | os.O_APPEND | os.O_CREAT if stream else os.O_RDONLY
        os.dup2(os.open(file, mode, 0o600), stream)
    # multiprocessing has closed it.
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.exit(main(arguments))
