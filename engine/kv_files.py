"""Keys and values as files of one folder: written whole, verified as they are read, bounded by size."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from engine.errors import EngineError

# Of the layout of a file and of how its name is made; files of another format are never found.
FORMAT = "fireside-kv-1"
NAME = re.compile(r"[0-9a-f]{64}")
SUFFIX, UNFINISHED = ".safetensors", ".tmp"
# What a process that was killed left unfinished goes after this; writing a file takes less than a second.
UNFINISHED_SECONDS = 600
# Conversations must find room for themselves on the disk they share with these files.
KEEP_FREE = 2**30
# Another process may write into the folder too, so what is there is looked up again after so long.
SCAN_SECONDS = 10

log = logging.getLogger(__name__)


class Layout(NamedTuple):
    """What the keys of a file are, and likewise its values. dtype: as safetensors calls it. nbytes: of the keys."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int


class KVFiles:
    """Files of keys and values in a folder of their own, at most `limit` bytes together.

    Those used the longest ago give way to new ones, and all do while the disk is nearly full. Safe to use from many
    threads; several processes may share a folder. The folder is readable by its owner alone, as are the files.

    Raises EngineError if the folder cannot be had.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self.generation = 0
        self._lock = threading.Lock()
        self._sizes: dict[str, int] = {}
        self._scanned_at = 0.0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            self._make_room(0)
        except OSError as error:
            raise EngineError(
                f"keys and values cannot be kept in {folder} ({error.strerror}): mend that, or turn keeping them off"
            ) from error

    def __contains__(self, name: str) -> bool:
        return name in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        with self._lock:
            return sum(self._sizes.values())

    def file_size(self, layout: Layout) -> int:
        """Bytes a file with such keys and values takes."""
        return len(_header("0" * 64, layout, "0" * 64)) + 2 * layout.nbytes

    def read(self, name: str, layout: Layout) -> tuple[memoryview, memoryview] | None:
        """The keys and values of a file; None if it is not there or cannot be used.

        A file that is not exactly what was written under its name is deleted.
        """
        path = self._path(name)
        try:
            data = _read_exactly(path, self.file_size(layout))
        except FileNotFoundError:
            self._forget(name)
            return None
        except (OSError, MemoryError) as error:
            log.warning("keys and values in %s are computed again: %s", path, error)
            self._forget(name)
            return None
        if data is not None:
            content = data[len(data) - 2 * layout.nbytes :]
            header = _header(name, layout, hashlib.sha256(content).hexdigest())
            if data[: len(header)] == header:
                return content[: layout.nbytes], content[layout.nbytes :]
        log.warning("%s is damaged or not ours: it is deleted, and what it should hold is computed again", path)
        self._delete(name)
        return None

    def write(self, name: str, layout: Layout, parts: Sequence[memoryview], generation: int) -> bool:
        """Write keys and values, durably and at once or not at all; False if there is no room for them.

        generation: what `self.generation` was when they were computed; those from before a `clear` are not written.
        Raises OSError if the disk refuses them.
        """
        size = self.file_size(layout)
        with self._lock:
            if not self._make_room(size):
                return False
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        unfinished = self.folder / f"{name}.{os.getpid()}-{threading.get_ident()}{UNFINISHED}"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(unfinished, flags, 0o600), "wb", buffering=0) as file:
                for part in (_header(name, layout, digest.hexdigest()), *parts):
                    rest = memoryview(part)
                    while rest:
                        rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            with self._lock:
                if generation != self.generation:
                    return False
                unfinished.replace(self._path(name))
                self._sizes[name] = size
            return True
        finally:
            unfinished.unlink(missing_ok=True)

    def touch(self, names: Iterable[str]) -> None:
        """Count files as used now, the first a little later than those after it, so that the last give way first."""
        now = time.time_ns()
        for place, name in enumerate(names):
            try:
                used = now - place * 1000
                os.utime(self._path(name), ns=(used, used))
            except OSError:
                self._forget(name)

    def clear(self) -> None:
        """Delete all files, also those still being written; raises EngineError if one stays."""
        with self._lock:
            self.generation += 1
            self._sizes.clear()
            try:
                for path in list(self.folder.iterdir()):
                    if _is_ours(path.name):
                        path.unlink(missing_ok=True)
            except FileNotFoundError:
                return
            except OSError as error:
                raise EngineError(
                    f"keys and values are still in {self.folder} ({error.strerror}): delete that folder yourself"
                ) from error

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    def _forget(self, name: str) -> None:
        with self._lock:
            self._sizes.pop(name, None)

    def _delete(self, name: str) -> None:
        self._forget(name)
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def _make_room(self, need: int) -> bool:
        """Whether `need` more bytes may be written, after deleting what must give way. Called with the lock held."""
        used = sum(self._sizes.values())
        fresh = time.monotonic() - self._scanned_at < SCAN_SECONDS and self._scanned_at > 0
        limit = min(self.limit, used + shutil.disk_usage(self.folder).free - KEEP_FREE)
        if fresh and used + need <= limit:
            return True
        files = self._scan()
        used = sum(size for _, _, size in files)
        limit = min(self.limit, used + shutil.disk_usage(self.folder).free - KEEP_FREE)
        for _, name, size in sorted(files):
            if used + need <= limit:
                break
            self._sizes.pop(name, None)
            with contextlib.suppress(OSError):
                self._path(name).unlink()
                used -= size
        return used + need <= limit

    def _scan(self) -> list[tuple[float, str, int]]:
        """When each file was used last, its name and its bytes."""
        found: list[tuple[float, str, int]] = []
        for entry in list(os.scandir(self.folder)):
            with contextlib.suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                name = entry.name.removesuffix(SUFFIX)
                if entry.name.endswith(SUFFIX) and NAME.fullmatch(name) and stat.S_ISREG(facts.st_mode):
                    found.append((facts.st_mtime, name, facts.st_size))
                elif _is_ours(entry.name) and time.time() - facts.st_mtime > UNFINISHED_SECONDS:
                    Path(entry.path).unlink()
        self._sizes = {name: size for _, name, size in found}
        self._scanned_at = time.monotonic()
        return found


def remove(folder: Path) -> None:
    """Delete a folder of keys and values, as far as it is ours; raises EngineError if one of them stays."""
    if folder.is_dir():
        KVFiles(folder, 0).clear()
        with contextlib.suppress(OSError):  # something else is in it
            folder.rmdir()


def size_of(folder: Path) -> int:
    """Bytes of the keys and values in a folder, 0 without one; raises OSError."""
    if not folder.is_dir():
        return 0
    return sum(path.lstat().st_size for path in list(folder.iterdir()) if _is_ours(path.name))


def _is_ours(file_name: str) -> bool:
    return bool(NAME.match(file_name)) and file_name.endswith((SUFFIX, UNFINISHED))


def _read_exactly(path: Path, size: int) -> memoryview | None:
    """The bytes of a plain file of just this size; None if it is anything else."""
    # Neither where a link leads, nor waiting for the other end of a pipe.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if path.is_symlink():
        return None
    with os.fdopen(os.open(path, flags), "rb", buffering=0) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_size != size:
            return None
        data = memoryview(bytearray(size))
        done = 0
        while done < size and (count := file.readinto(data[done:])):
            done += count
        return data if done == size else None


def _header(name: str, layout: Layout, content: str) -> bytes:
    """The beginning of a safetensors file (huggingface.co/docs/safetensors): the length of a JSON object, and it.

    content: SHA-256 of all that follows. Of one length for one layout, so that the size of a file is known before.
    """
    tensor = {"dtype": layout.dtype, "shape": layout.shape}
    fields = {
        "__metadata__": {"format": FORMAT, "name": name, "content": content},
        "keys": {**tensor, "data_offsets": [0, layout.nbytes]},
        "values": {**tensor, "data_offsets": [layout.nbytes, 2 * layout.nbytes]},
    }
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
