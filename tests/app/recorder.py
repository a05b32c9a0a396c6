"""Records what SQLite writes, and makes from the recording what a disk may hold after a power failure.

A layer over SQLite's own file access (sqlite.org/vfs.html), put into the library that Python's `sqlite3` is linked to:
nothing but the standard library is needed, and the connections recorded are the application's own. Only writing,
truncating, flushing, opening, closing and deleting pass through it; locks and shared memory stay SQLite's.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SECTOR_BYTES = 512
OK = 0
# The path as SQLite's own pointer, not as a copy: SQLite keeps it for as long as the file is open.
OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
DELETE = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
CLOSE = CFUNCTYPE(c_int, c_void_p)
WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


class Vfs(Structure):
    """struct sqlite3_vfs, version 3."""

    _fields_ = (
        *((name, c_int) for name in ("iVersion", "szOsFile", "mxPathname")),
        *((name, c_void_p) for name in ("pNext", "zName", "pAppData")),
        ("xOpen", OPEN),
        ("xDelete", DELETE),
        *((f"other{number}", c_void_p) for number in range(14)),
    )


class Methods(Structure):
    """struct sqlite3_io_methods, version 3."""

    _fields_ = (
        ("iVersion", c_int),
        ("xClose", CLOSE),
        ("xRead", c_void_p),
        ("xWrite", WRITE),
        ("xTruncate", TRUNCATE),
        ("xSync", SYNC),
        *((f"other{number}", c_void_p) for number in range(13)),
    )


class File(Structure):
    """struct sqlite3_file."""

    _fields_ = (("pMethods", POINTER(Methods)),)


@dataclass(frozen=True)
class Op:
    """One call; `at` is an offset or a size."""

    kind: Literal["write", "truncate", "sync", "delete"]
    name: str
    at: int = 0
    data: bytes = b""


@dataclass
class Recorder:
    """The calls so far, in order, for files of these names in `folder`."""

    folder: Path
    names: tuple[str, ...]
    ops: list[Op] = field(default_factory=list)
    _files: dict[int, tuple[str, Any]] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """All connections that are opened inside the block are recorded, until they are closed."""
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = POINTER(Vfs)
        library.sqlite3_vfs_register.argtypes = [c_void_p, c_int]
        real = library.sqlite3_vfs_find(None)
        shim = Vfs.from_buffer_copy(real.contents)
        name = ctypes.create_string_buffer(b"recorder")
        shim.zName = ctypes.addressof(name)
        shim.xOpen = OPEN(lambda vfs, path, file, flags, out: self._open(real.contents, vfs, path, file, flags, out))
        shim.xDelete = DELETE(lambda vfs, path, sync: self._delete(real.contents, vfs, path, sync))
        self._kept += [shim, name]
        library.sqlite3_vfs_register(ctypes.addressof(shim), 1)
        try:
            yield
        finally:
            library.sqlite3_vfs_register(ctypes.addressof(real.contents), 1)

    def _open(self, real: Vfs, vfs: int, path: int | None, file: int, flags: int, out: Any) -> int:
        code = real.xOpen(vfs, path, file, flags, out)
        if code == OK and path and (name := self._name(ctypes.string_at(path))):
            handle = File.from_address(file)
            own = handle.pMethods.contents
            methods = Methods.from_buffer_copy(own)
            methods.xClose = CLOSE(self._close)
            methods.xWrite = WRITE(self._write)
            methods.xTruncate = TRUNCATE(self._truncate)
            methods.xSync = SYNC(self._sync)
            handle.pMethods = ctypes.pointer(methods)
            self._kept.append(methods)
            self._files[file] = (name, own)
        return code

    def _delete(self, real: Vfs, vfs: int, path: bytes, sync: int) -> int:
        code = real.xDelete(vfs, path, sync)
        if code == OK and (name := self._name(path)):
            self.ops.append(Op("delete", name, at=sync))
        return code

    def _close(self, file: int) -> int:
        return self._files.pop(file)[1].xClose(file)

    def _write(self, file: int, data: int, length: int, at: int) -> int:
        return self._call(file, lambda own: own.xWrite(file, data, length, at), "write", at, data, length)

    def _truncate(self, file: int, size: int) -> int:
        return self._call(file, lambda own: own.xTruncate(file, size), "truncate", size)

    def _sync(self, file: int, flags: int) -> int:
        return self._call(file, lambda own: own.xSync(file, flags), "sync")

    def _call(
        self, file: int, call: Callable[[Any], int], kind: Any, at: int = 0, data: int = 0, length: int = 0
    ) -> int:
        name, own = self._files[file]
        code = call(own)
        if code == OK:
            self.ops.append(Op(kind, name, at, ctypes.string_at(data, length) if length else b""))
        return code

    def _name(self, path: bytes) -> str | None:
        opened = Path(path.decode())
        return opened.name if opened.parent == self.folder and opened.name in self.names else None


def crash_state(before: dict[str, bytes], ops: list[Op], chance: random.Random) -> dict[str, bytes]:
    """What the files may hold after a power failure at the end of these calls.

    before: what is durable at the beginning. What was flushed is there; of each later call to the same file any part
    may be, in whole sectors, and in any combination. The entry of a log in its folder is flushed with its first bytes;
    a deletion is durable if it was asked to be.
    """
    durable: dict[str, bytearray | None] = {name: bytearray(data) for name, data in before.items()}
    pending: dict[str, list[Op]] = {}
    for op in ops:
        if op.kind == "delete" and op.at:
            durable[op.name], pending[op.name] = None, []
        elif op.kind == "sync":
            durable[op.name] = _applied(durable.get(op.name), pending.pop(op.name, []))
        else:
            pending.setdefault(op.name, []).append(op)
    for name, later in pending.items():
        share = chance.choice((0.0, 0.2, 0.5, 0.8, 1.0))
        happened = [_torn(op, chance) for op in later if chance.random() < share]
        if happened or durable.get(name) is not None:
            durable[name] = _applied(durable.get(name), happened)
    return {name: bytes(data) for name, data in durable.items() if data is not None}


def _applied(data: bytearray | None, ops: list[Op]) -> bytearray | None:
    data = None if data is None else bytearray(data)
    for op in ops:
        if op.kind == "delete":
            data = None
            continue
        data = bytearray() if data is None else data
        if op.kind == "truncate":
            del data[op.at :]
        else:
            data.extend(bytes(max(0, op.at - len(data))))
        data[op.at : op.at + len(op.data)] = op.data
    return data if ops or data is not None else bytearray()


def _torn(op: Op, chance: random.Random) -> Op:
    """The call, or for some writes only those of their bytes that are before the end of a sector."""
    if op.kind != "write" or chance.random() < 0.7:
        return op
    end = (op.at + chance.randrange(len(op.data) + 1)) // SECTOR_BYTES * SECTOR_BYTES
    return Op("write", op.name, op.at, op.data[: max(0, end - op.at)])
