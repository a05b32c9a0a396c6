"""What changes in conversations, told to every page that listens, so that all tabs show the same."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Collection
from contextlib import suppress

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import StreamingResponse

from app.chats import Chats
from app.live import LiveRun
from app.store import Store
from app.workspace import Workspaces

# Changes come in flocks: a message, its answer, the title. While one comes upon the other without end, as in an import,
# more and more are told at once: a page asks anew each time.
GATHER_SECONDS, MOST_GATHER_SECONDS = 0.03, 0.5
RESTLESS_SECONDS = 0.1
KEEP_ALIVE_SECONDS = 15.0
# Beyond it a page had better ask for all.
MOST = 100
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Changes:
    """Gathers what the store writes and which answers begin and end; safe to use from any thread."""

    def __init__(self, store: Store, chats: Chats) -> None:
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        store.when_changed(self._tell)
        chats.answers.begun.append(self._running)
        chats.answers.ended.append(self._running)

    def listen(self) -> Listener:
        """From now on; within a running event loop."""
        listener = Listener()
        with self._lock:
            self._listeners.add(listener)
        return listener

    def forget(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.discard(listener)

    def close(self) -> None:
        """End all listening, so that no connection keeps the server from ending."""
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.end()

    def _running(self, live: LiveRun) -> None:
        self._tell({live.conversation_id})

    def _tell(self, ids: Collection[str]) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.add(ids)


class Listener:
    """Ids of changed conversations on their way to one page."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._there = asyncio.Event()
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._gather = GATHER_SECONDS
        self.ended = False

    def add(self, ids: Collection[str]) -> None:
        """From any thread."""
        with self._lock:
            self._ids.update(ids)
        self._wake()

    def end(self) -> None:
        """From any thread."""
        self.ended = True
        self._wake()

    async def take(self, timeout: float) -> set[str]:
        """What changed since the last call; waits at most so many seconds, empty if there was nothing."""
        begun = self._loop.time()
        try:
            await asyncio.wait_for(self._there.wait(), timeout)
        except TimeoutError:
            return set()
        restless = self._loop.time() - begun < RESTLESS_SECONDS
        self._gather = min(2 * self._gather, MOST_GATHER_SECONDS) if restless else GATHER_SECONDS
        if not self.ended:
            await asyncio.sleep(self._gather)
        self._there.clear()
        with self._lock:
            ids, self._ids = self._ids, set()
        return ids

    def _wake(self) -> None:
        # Once the loop has ended, nobody listens any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._there.set)


def changes_route(workspaces: Workspaces, changes: Changes) -> APIRouter:
    """GET /changes: server-sent events `changed` {ids} of one's conversations that changed, null for too many."""
    router = APIRouter()

    @router.get("/changes")
    async def listen(request: Request) -> StreamingResponse:
        mine = await asyncio.to_thread(workspaces.of, request)
        return StreamingResponse(_events(mine.store, changes), media_type="text/event-stream", headers=HEADERS)

    return router


async def _events(store: Store, changes: Changes) -> AsyncIterator[bytes]:
    listener = changes.listen()
    try:
        yield b": here\n\n"
        while not listener.ended:
            ids = await listener.take(KEEP_ALIVE_SECONDS)
            told = await asyncio.to_thread(_existing, store, ids) if len(ids) <= MOST else None
            if told is None or told:
                yield f"event: changed\ndata: {json.dumps({'ids': told})}\n\n".encode()
            elif not listener.ended:
                yield b": still here\n\n"
    finally:
        changes.forget(listener)


def _existing(store: Store, ids: set[str]) -> list[str]:
    """Those that are there for the person; of others' nothing is told, not even that there are any."""
    return [id for id in sorted(ids) if store.conversations.has(id)]
