"""Models on their way onto this machine, each fetched by a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Literal

import weights
from weights import FetchCancelled, WeightsError

# Over how long the speed of a download is averaged.
SPEED_SECONDS = 5.0
CANCELLED = "the download was cancelled"


@dataclass(frozen=True, slots=True)
class DownloadState:
    """How far a download is. total_bytes: 0 until it is known. speed: bytes a second, 0 where it is not known.

    message: one line, once it failed.
    """

    name: str
    status: Literal["running", "done", "failed", "cancelled"] = "running"
    done_bytes: int = 0
    total_bytes: int = 0
    speed: float = 0.0
    message: str = ""


class Speed:
    """Bytes a second over the last seconds; what an earlier download had left is no part of it."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def after(self, done: int, now: float) -> float:
        """With `done` bytes at the time `now`, in seconds."""
        self._samples.append((now, done))
        while self._samples[0][0] < now - SPEED_SECONDS and len(self._samples) > 2:
            self._samples.popleft()
        begun, before = self._samples[0]
        return max(0.0, (done - before) / (now - begun)) if now > begun else 0.0


class Download:
    """One download under way or ended. Safe to use from any thread."""

    def __init__(self, name: str, folder: Path) -> None:
        self._source = weights.source_named(name)
        self._folder = folder
        self._changed = threading.Condition()
        self._cancel = threading.Event()
        self._speed = Speed()
        self._state = DownloadState(name)
        self._error: WeightsError | None = None
        self._path: Path | None = None
        self._thread = threading.Thread(target=self._run, name="model-download", daemon=True)
        self._thread.start()

    @property
    def state(self) -> DownloadState:
        with self._changed:
            return self._state

    def cancel(self) -> None:
        """Give it up, soon; what has arrived of a model of the hub is kept."""
        self._cancel.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Until it has ended or made progress, at most so many seconds; whether it has ended."""
        with self._changed:
            if self._state.status == "running":
                self._changed.wait(timeout)
            return self._state.status != "running"

    def result(self) -> Path:
        """The model's file or folder, once it has ended; raises the WeightsError that ended it."""
        self._thread.join()
        if self._path is None:
            raise self._error or FetchCancelled(CANCELLED)
        return self._path

    def _run(self) -> None:
        try:
            self._path = weights.obtain(self._source, self._folder, self._progress, cancel=self._cancel)
        except FetchCancelled as error:
            self._end("cancelled", error)
        except WeightsError as error:
            self._end("failed", error)
        # A thread has nobody to raise to: whoever waits for the model must hear of it.
        except Exception as error:
            self._end("failed", WeightsError(f"the download failed: {type(error).__name__}: {error}"))
        else:
            self._end("done", None)

    def _progress(self, done: int, total: int) -> None:
        with self._changed:
            speed = self._speed.after(done, monotonic())
            self._state = replace(self._state, done_bytes=done, total_bytes=total, speed=speed)
            self._changed.notify_all()

    def _end(self, status: Literal["done", "failed", "cancelled"], error: WeightsError | None) -> None:
        with self._changed:
            self._error = error
            message = " ".join(str(error or "").split())
            self._state = replace(self._state, status=status, speed=0.0, message=message)
            self._changed.notify_all()


class Downloads:
    """The downloads into one models folder; of one model there is one at a time. Safe to use from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._downloads: dict[str, Download] = {}
        self._closed = False

    def begin(self, name: str) -> Download:
        """Fetch a model by its name in the catalog or the hub; whoever asks for one under way is given that one.

        Raises UnknownModel, and FetchCancelled once closed.
        """
        name = str(name)
        with self._lock:
            if self._closed:
                raise FetchCancelled(CANCELLED)
            download = self._downloads.get(name)
            if download is None or download.state.status != "running":
                download = self._downloads[name] = Download(name, self._folder)
            return download

    def cancel(self, name: str) -> None:
        """Give a download up, or forget one that has ended; nothing where there is none."""
        with self._lock:
            download = self._downloads.get(name)
            if download is None:
                return
            if download.state.status != "running":
                del self._downloads[name]
        download.cancel()

    def states(self) -> list[DownloadState]:
        """Of those under way, and of those that ended since the start and were not forgotten."""
        with self._lock:
            return [download.state for download in self._downloads.values()]

    def close(self) -> None:
        """Give up all; calling it again does nothing."""
        with self._lock:
            self._closed = True
            downloads = list(self._downloads.values())
        for download in downloads:
            download.cancel()
        for download in downloads:
            while not download.wait():
                pass
