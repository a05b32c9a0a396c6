"""What the commands show on standard error while they work."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Self

import weights

if TYPE_CHECKING:
    from app.models import Models

POLL_SECONDS = 0.2
# Terminals take these for orders: to move, to rename the window, to write to the clipboard.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """What a model or another program said, as a terminal may be given it: without control characters."""
    return CONTROLS.sub("", text)


@contextmanager
def noted_interrupt() -> Iterator[threading.Event]:
    """Inside the block Ctrl-C sets the event, and raises only when it comes again.

    An exception could come anywhere, and cut a transaction of the store in the middle.
    """
    noted = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


class DownloadBar:
    """A progress bar of one download; a single line where standard error is not a terminal."""

    def __init__(self, name: str) -> None:
        from tqdm import tqdm

        self._name = name
        # disable=None: no bar where there is no terminal. delay: none either for what is there already.
        self._bar = tqdm(desc=name, unit="B", unit_scale=True, file=sys.stderr, disable=None, leave=False, delay=0.1)

    def show(self, done: int, total: int) -> None:
        """Bytes done and bytes in all."""
        if self._bar.total is None:
            print(f"Downloading {self._name} ({weights.megabytes(total)})", file=sys.stderr, flush=True)
            # Of an earlier download, and so no part of this one's speed.
            self._bar.n = self._bar.initial = self._bar.last_print_n = done
        self._bar.total = total
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.set_description(f"{self._name}: checking")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


def locate(name_or_path: str, models_dir: Path) -> Path:
    """The model's file or folder, fetched under a progress bar if it is not there yet. Raises WeightsError."""
    source = weights.resolve(name_or_path, models_dir)
    with DownloadBar(name_or_path) as bar:
        return weights.obtain(source, models_dir, bar.show)


def follow(models: Models) -> None:
    """Show, from a thread, how the server's model comes; and why, if it does not."""
    threading.Thread(target=_follow, args=(models,), name="model-progress", daemon=True).start()


def _follow(models: Models) -> None:
    from app.models import CLOSING

    with DownloadBar(models.state.name) as bar:
        while (state := models.state).status not in ("ready", "failed"):
            if state.status == "downloading":
                bar.show(state.done_bytes, state.total_bytes)
            time.sleep(POLL_SECONDS)
    if state.status == "failed" and state.message != CLOSING:
        print(f"fireside: {state.message}", file=sys.stderr, flush=True)
