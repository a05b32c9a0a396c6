"""Files that the page or the command line sends to be imported while the server runs."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.errors import AppError
from app.store import Store
from app.store.errors import DiskRefused
from app.transfer.importing import Phase, import_file
from app.transfer.source import ImportRefused
from app.workspace import Workspaces

# Written to the disk at once, in a thread.
PIECE = 1 << 20
# What is sent is kept until it has been read, and staged once more before it is added.
SPARE_BYTES = 256 << 20
MAX_AT_ONCE = 4
MAX_NAME = 200
TOLD_SECONDS = 0.2
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

log = logging.getLogger(__name__)


def import_route(workspaces: Workspaces) -> APIRouter:
    """POST /import?name=FILE, with the file as the body: adds its conversations to those of the person who
    asks.

    Answers with JSON lines: `{"phase", "done", "total"}` while it works, and at last `{"report"}` or `{"error"}`, a
    sentence. Whoever goes away before all of the file is read has cancelled it.
    """
    router = APIRouter()
    under_way: set[_Upload] = set()

    @router.post("/import")
    async def import_(request: Request) -> Response:
        if len(under_way) >= MAX_AT_ONCE:
            return _refusal(429, f"{MAX_AT_ONCE} files are being imported: wait until one of them is done")
        store = (await asyncio.to_thread(workspaces.of, request)).store
        name = Path(request.query_params.get("name", "")[:MAX_NAME]).name or "file"
        try:
            file = _Upload(store, await asyncio.to_thread(store.imports.new_upload), name, under_way)
        except DiskRefused as error:
            return _refusal(507, str(error))
        try:
            return (await file.receive(request)).response()
        except ClientDisconnect:
            return Response(status_code=400)
        except (DiskRefused, ImportRefused) as error:
            return _refusal(507, str(error))

    return router


class Import:
    """A file that is imported by a thread and told of meanwhile. ended: called at the end, whatever that is."""

    def __init__(self, store: Store, path: Path, name: str, ended: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._path = path
        self._name = name
        self._ended = ended
        self._told: dict[str, Any] = {"phase": "waiting", "done": 0, "total": 0}
        self._cancelled = False

    async def told(self) -> AsyncIterator[bytes]:
        """The lines of the answer; whoever leaves off reading cancels it."""
        work = asyncio.create_task(asyncio.to_thread(self._work))
        try:
            while not work.done():
                yield _line(self._told)
                await asyncio.wait({work}, timeout=TOLD_SECONDS)
            yield _line(await work)
        finally:
            self._cancelled = True

    def response(self) -> Response:
        """The answer to whoever asked for it."""
        return StreamingResponse(self.told(), media_type="application/x-ndjson", headers=HEADERS)

    def _work(self) -> dict[str, Any]:
        try:
            report = import_file(self._store, self._path, self._tell, lambda: self._cancelled, name=self._name)
        except AppError as error:
            return {"error": " ".join(str(error).split())}
        except Exception:
            log.exception("an import failed")
            return {"error": "the import failed, nothing of the file was added: the server's output tells why"}
        finally:
            self._ended()
        return {"report": report.view}

    def _tell(self, phase: Phase, done: int, total: int) -> None:
        self._told = {"phase": phase, "done": done, "total": total}


class _Upload:
    """A file that is sent; removed when it has been imported, or cannot be."""

    def __init__(self, store: Store, path: Path, name: str, under_way: set[_Upload]) -> None:
        self._store = store
        self._path = path
        self._name = name
        self._under_way = under_way
        under_way.add(self)

    async def receive(self, request: Request) -> Import:
        """Write what is sent to the disk. Raises ClientDisconnect, ImportRefused for too little room, DiskRefused."""
        try:
            await asyncio.to_thread(self._check_room, int(request.headers.get("content-length", "0")))
            with self._path.open("wb") as file:
                piece = bytearray()
                async for data in request.stream():
                    piece += data
                    if len(piece) >= PIECE:
                        await asyncio.to_thread(file.write, piece)
                        piece = bytearray()
                await asyncio.to_thread(file.write, piece)
        except OSError as error:
            self._end()
            raise DiskRefused(self._path, error) from None
        except BaseException:
            self._end()
            raise
        return Import(self._store, self._path, self._name, self._end)

    def _check_room(self, size: int) -> None:
        needed, free = 2 * size + SPARE_BYTES, shutil.disk_usage(self._path.parent).free
        if free < needed:
            raise ImportRefused(
                f"{self._name:.100} needs {needed / 1e9:.1f} GB of the disk for a while, {free / 1e9:.1f} GB are free: "
                "make room there, then try again"
            )

    def _end(self) -> None:
        self._path.unlink(missing_ok=True)
        self._under_way.discard(self)


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def _refusal(code: int, text: str) -> Response:
    return JSONResponse({"error": text}, code, headers=HEADERS)
