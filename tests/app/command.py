"""Runs the `fireside` command, as a person's shell would or in this process."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from app.cli import main
from tests.forked import Forked

FIRESIDE = (sys.executable, "-m", "app.cli")
ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 120


def fireside(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command to its end, by a fork of a process that has imported everything.

    LIMIT_SECONDS is far more than it needs.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, output, errors = (Path(folder) / name for name in ("stdin", "output", "errors"))
        given.write_text(stdin, encoding="utf-8")
        code = Forked(main, [str(each) for each in arguments], output, errors, given).wait(LIMIT_SECONDS)
        said = [path.read_text(encoding="utf-8") for path in (output, errors)]
    return subprocess.CompletedProcess(arguments, code, *said)


def fireside_anew(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The same in a process that imports everything itself: where the environment tells an import something."""
    return subprocess.run(
        [*FIRESIDE, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        timeout=LIMIT_SECONDS,
    )


def fireside_here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The same in this process, which takes no start: for what a process of its own would not make different."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(each) for each in arguments])
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start the command, with its output in pipes."""
    return subprocess.Popen([*FIRESIDE, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """It ended with this code and exactly one line that has these words in it."""
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert result.stderr.startswith("fireside: ")
    assert result.stderr.count("\n") == 1
    assert len(result.stderr) < 600
    for word in words:
        assert word in result.stderr
