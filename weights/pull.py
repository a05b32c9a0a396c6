"""Bring a model of the hub onto this machine: only its own files, whole or not at all, from where it broke off."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from weights.errors import DigestMismatch, FetchCancelled, FolderNotWritable
from weights.hub import Hub, HubFile, Interrupted, Listing
from weights.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from weights.models_folder import Progress, check_space, plain, sole_fetcher, sync_folder
from weights.reference import HubReference
from weights.selection import choose

STAGING_SUFFIX = ".part"
CHUNK_BYTES = 1 << 20
# How often a connection may break without a byte in between, and how long to wait the first time; then twice as long.
ATTEMPTS = 4
WAIT_SECONDS = 0.5


def find_pulled(reference: HubReference, folder: Path) -> Path | None:
    """The model in the models folder: its first .gguf file, or its folder; None if it is not there whole.

    The sizes are compared every time; the digests were, when it came.
    """
    home = reference.path_in(folder)
    manifest = read_manifest(home)
    return manifest.model_in(home) if manifest and not manifest.damage(home) else None


def pull(
    reference: HubReference,
    folder: Path,
    on_progress: Progress | None = None,
    *,
    cancel: threading.Event | None = None,
) -> Path:
    """The model's folder or first .gguf file in the models folder; downloaded first where it is absent or damaged.

    on_progress: called from this thread with bytes done and bytes in all, over all files, first with what an earlier
    download has left. The files arrive in a
    folder of the same name with ".part" behind it, which is renamed when every size and digest is as the hub lists
    them; whatever ends it before, a later call goes on from there.
    Raises UnknownModel, UnsuitableModel, UnsafeName, AccessDenied, RateLimited, Offline, DownloadFailed,
    DigestMismatch, DiskFull, FolderNotWritable, and FetchCancelled once `cancel` is set: within 10 seconds
    (HF_HUB_DOWNLOAD_TIMEOUT) if the hub is silent, else at once.
    """
    cancel = cancel or threading.Event()
    home = reference.path_in(folder)
    if path := find_pulled(reference, folder):
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with sole_fetcher(folder / f".{home.name}.lock", cancel):
            if path := find_pulled(reference, folder):  # another process was quicker
                return path
            manifest = _Pull(reference, home, on_progress or (lambda done, total: None), cancel).run()
    except OSError as error:
        raise plain(error, folder) from error
    return manifest.model_in(home)


class _Pull:
    """One download under way; `run` is its whole course."""

    def __init__(self, reference: HubReference, home: Path, on_progress: Progress, cancel: threading.Event) -> None:
        self._reference = reference
        self._home = home
        self._staging = staging_of(home)
        self._on_progress = on_progress
        self._cancel = cancel
        self._done = 0
        self._total = 0

    def run(self) -> Manifest:
        hub = Hub(self._reference)
        listing = hub.listing()
        files = choose(self._reference, listing.files, lambda file: _small(hub, listing.commit, file))
        manifest = Manifest(str(self._reference), hub.endpoint, listing.commit, listing.licence, files)
        self._prepare(manifest)
        self._total = sum(file.bytes for file in files)
        present = _present(self._staging, files)
        check_space(str(self._reference), self._total - present, self._home.parent)
        self._advance(present)
        for file in files:
            self._fetch(hub, listing, file)
        sync_folder(self._staging)
        self._staging.rename(self._home)
        sync_folder(self._home.parent)
        return manifest

    def _prepare(self, manifest: Manifest) -> None:
        """Make the staging folder hold nothing but beginnings of these very files, and the list of them."""
        if self._home.exists():  # damaged, or it would have been found: what is sound of it is kept
            if read_manifest(self._home) is None:
                raise FolderNotWritable(
                    f"{self._home} is in the way: it holds no {MANIFEST}, so this program did not make it; "
                    "move it elsewhere and try again"
                )
            shutil.rmtree(self._staging, ignore_errors=True)
            self._home.rename(self._staging)
        self._staging.mkdir(exist_ok=True)
        before = read_manifest(self._staging)
        known = set(before.files if before else ()) & set(manifest.files)
        keep = {self._staging / file.name for file in known if file.sha256 or file.git_sha1}
        for path in sorted(self._staging.rglob("*"), reverse=True):
            if path.is_symlink() or (path.is_file() and path not in keep):
                path.unlink()
            elif path.is_dir():
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()
        write_manifest(manifest, self._staging)

    def _fetch(self, hub: Hub, listing: Listing, file: HubFile) -> None:
        path = self._staging / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "w+b") as out:
            try:
                self._complete(hub, listing.commit, file, _Arrived(out, file))
            except DigestMismatch:
                path.unlink()  # going on from wrong bytes would never end well
                raise
            out.flush()
            os.fsync(out.fileno())

    def _complete(self, hub: Hub, commit: str, file: HubFile, arrived: _Arrived) -> None:
        """Receive what is missing of the file, over as many connections as that takes, and check the whole."""
        for _ in arrived.take_stock():
            self._advance(0)
        failures = 0
        while arrived.count < file.bytes:
            before = arrived.count
            try:
                self._receive(hub, commit, file, arrived)
            except Interrupted:
                failures = 1 if arrived.count > before else failures + 1
                if failures == ATTEMPTS:
                    raise
                if self._cancel.wait(WAIT_SECONDS * 2 ** (failures - 1)):
                    raise FetchCancelled("the download was cancelled") from None
        arrived.check()

    def _receive(self, hub: Hub, commit: str, file: HubFile, arrived: _Arrived) -> None:
        with hub.open(commit, file, arrived.count) as (begin, chunks):
            if begin != arrived.count:  # the hub does not know how to go on
                self._done -= arrived.count
                arrived.restart()
            for chunk in chunks:
                arrived.append(chunk)
                self._advance(len(chunk))
        if arrived.count < file.bytes:
            raise Interrupted(f"{file.name} ended at {arrived.count:,} of {file.bytes:,} bytes: try again")

    def _advance(self, count: int) -> None:
        if self._cancel.is_set():
            raise FetchCancelled("the download was cancelled")
        self._done += count
        self._on_progress(self._done, self._total)


class _Arrived:
    """What has arrived of a file, on disk, with its digest so far."""

    def __init__(self, out: BinaryIO, file: HubFile) -> None:
        self._out = out
        self._file = file
        self._begin()

    def _begin(self) -> None:
        self.count = 0
        self._digest = hashlib.sha256() if self._file.sha256 else hashlib.sha1(usedforsecurity=False)
        if not self._file.sha256:  # https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
            self._digest.update(b"blob %d\0" % self._file.bytes)

    def restart(self) -> None:
        """Forget what has arrived."""
        self._out.seek(0)
        self._out.truncate()
        self._begin()

    def take_stock(self) -> Iterator[int]:
        """Read what an earlier download has left; gives the sizes of its pieces."""
        if os.fstat(self._out.fileno()).st_size > self._file.bytes:
            self._out.truncate(0)
        while chunk := self._out.read(CHUNK_BYTES):
            self._digest.update(chunk)
            self.count += len(chunk)
            yield len(chunk)
        self._out.seek(self.count)

    def append(self, chunk: bytes) -> None:
        """Write a piece behind the others; raises DigestMismatch if it is more than the file should have."""
        if self.count + len(chunk) > self._file.bytes:
            raise DigestMismatch(f"{self._file.name} is longer than the {self._file.bytes:,} bytes listed: try again")
        self._out.write(chunk)
        self._digest.update(chunk)
        self.count += len(chunk)

    def check(self) -> None:
        """Raise DigestMismatch unless all bytes are those the hub lists."""
        expected = self._file.sha256 or self._file.git_sha1
        if expected and self._digest.hexdigest() != expected:
            kind = "SHA-256" if self._file.sha256 else "git SHA-1"
            raise DigestMismatch(
                f"{self._file.name} has the {kind} {self._digest.hexdigest():.12}… instead of {expected:.12}…: "
                "it was damaged on the way and is removed; fetch it again"
            )


def staging_of(home: Path) -> Path:
    """Where the files of a model arrive before its folder exists."""
    return home.with_name(home.name + STAGING_SUFFIX)


def _present(staging: Path, files: Sequence[HubFile]) -> int:
    """Bytes that are there already; a file that is too long is begun again."""
    sizes = [(path.stat().st_size, file.bytes) for file in files if (path := staging / file.name).is_file()]
    return sum(size for size, expected in sizes if size <= expected)


def _small(hub: Hub, commit: str, file: HubFile) -> bytes:
    for _attempt in range(1, ATTEMPTS):
        with contextlib.suppress(Interrupted):
            return hub.read(commit, file)
    return hub.read(commit, file)
