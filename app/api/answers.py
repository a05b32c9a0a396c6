"""The answers to one request while they are being written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from typing import NamedTuple

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.call import Call
from app.api.keeping import KeptExchange
from app.api.tools import Calls
from app.backend import BackendRun
from engine import EngineError, Step

# How often it is looked whether the client is still there: a tenth of the half second it may take.
LOOK_SECONDS = 0.05


class Written(NamedTuple):
    """A step of the answer number `index`."""

    index: int
    step: Step


class Answers:
    """Runs of the backend, read together by one coroutine; `close` cancels what is not finished.

    runs: one a choice, in order. kept: where they are written to the store, if the key says so.
    """

    def __init__(self, runs: Iterable[BackendRun], call: Call, kept: KeptExchange | None = None) -> None:
        self.runs = list(runs)
        self._request = call.request
        self._metrics = call.metrics
        self._kept = kept
        self._queue: asyncio.Queue[Written | Exception] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        for index, run in enumerate(self.runs):
            threading.Thread(target=self._feed, args=(index, run), name="api-answer", daemon=True).start()

    async def steps(self) -> AsyncIterator[Written]:
        """The steps of all, as they come. Raises the EngineError that ended one of them, and ClientGone."""
        unfinished = len(self.runs)
        try:
            while unfinished:
                try:
                    item = await asyncio.wait_for(self._queue.get(), LOOK_SECONDS)
                except TimeoutError:
                    if await self._request.is_disconnected():
                        raise ClientGone from None
                    continue
                if isinstance(item, Exception):
                    raise item
                unfinished -= item.step.finish_reason is not None
                yield item
                if self._queue.empty() and await self._request.is_disconnected():
                    raise ClientGone
        finally:
            self.close()

    def close(self) -> None:
        """Nobody waits for the rest."""
        for run in self.runs:
            run.cancel()

    def _feed(self, index: int, run: BackendRun) -> None:
        self._metrics.begun()
        live, calls = self._kept.begin(run) if self._kept else None, Calls()
        last: Written | Exception = EngineError("the engine ended the answer without a reason: try again")
        try:
            for step in run:
                if live:
                    live.push(step)
                    calls.add(step.calls)
                if step.finish_reason is None:
                    self._put(Written(index, step))
                else:
                    last = Written(index, step)
        # Whatever it is, whoever waits must hear of it.
        except Exception as error:
            last = error
        self._metrics.ended(run.stats)
        try:
            if self._kept and live:
                self._kept.ended(index, live, calls.whole, str(last) if isinstance(last, Exception) else None)
        finally:
            self._put(last)

    def _put(self, item: Written | Exception) -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
        except RuntimeError:
            # The server has ended, and its loop with it.
            self.close()


class ClientGone(Exception):
    """The client has closed the connection."""


async def begin(call: Call, starts: Iterable[Callable[[], BackendRun]], kept: KeptExchange | None = None) -> Answers:
    """Start runs; raises what starting one of them raises, with the others cancelled."""

    def start_all() -> list[BackendRun]:
        runs: list[BackendRun] = []
        try:
            for start in starts:
                runs.append(start())
            if kept:
                kept.ask()
        except BaseException:
            for run in runs:
                run.cancel()
            raise
        return runs

    # The chat template is rendered by another process.
    return Answers(await asyncio.to_thread(start_all), call, kept)


class EventStream(StreamingResponse):
    """Server-sent events of answers, which are cancelled when it ends, also if it never began."""

    def __init__(self, answers: Answers, events: AsyncIterator[bytes]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answers.close()
