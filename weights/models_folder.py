"""The models folder as a place to write to: one process at a time, with room enough, and durably."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from weights.catalog import megabytes
from weights.errors import DiskFull, FetchCancelled, FolderNotWritable

# Bytes done and bytes in all.
Progress = Callable[[int, int], None]

POLL_SECONDS = 0.1


@contextlib.contextmanager
def sole_fetcher(lock: Path, cancel: threading.Event) -> Iterator[None]:
    """Wait until no other process fetches under this lock file; raises FetchCancelled once `cancel` is set."""
    file_lock = FileLock(lock)
    while not cancel.is_set():
        try:
            with file_lock.acquire(timeout=POLL_SECONDS):
                yield
                return
        except Timeout:
            continue
    raise FetchCancelled("the download was cancelled")


def check_space(name: str, need: int, folder: Path) -> None:
    """Raise DiskFull unless `need` bytes are free on the disk of the folder."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise DiskFull(
            f"fetching {name} needs {megabytes(need)} on the disk of {folder}, which has "
            f"{megabytes(free)} free: free some space, or choose another folder with --models"
        )


def sync_folder(folder: Path) -> None:
    """Make new names in the folder durable; Windows knows no such call and needs none."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def plain(error: OSError, folder: Path) -> DiskFull | FolderNotWritable:
    """What the operating system said about writing to the folder, in words for people."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"the disk of {folder} filled up: free some space, or choose another with --models")
    return FolderNotWritable(
        f"cannot write to the models folder {folder} ({error.strerror or error}): "
        "make it writable, or choose another with --models"
    )
