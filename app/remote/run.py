"""One answer of an engine elsewhere."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from time import perf_counter
from typing import Any

from app.backend import AnswerInterrupted
from app.remote.chunks import Chunk, Token, chunk_of, count
from app.remote.connection import Connection
from app.remote.errors import RemoteError, ServerFailed, Unreachable
from app.remote.events import EventReader
from engine import ContextOverflow, EngineClosed, EngineError, Stats, Step
from engine.reasoning import ThinkTags
from engine.run import FinishReason, Phase
from engine.text import NOTHING, AnswerStream, Shown

DONE = "[DONE]"
MAX_ANSWER_BYTES = 8_000_000
# After the reason of the end only the usage is awaited.
USAGE_SECONDS = 5.0


class RemoteRun:
    """Conforms to `app.backend.BackendRun`. The request is made when it is iterated, and closed by `cancel`.

    path, body: the request; `body` is called for every attempt. seed: that was sent. stop: strings that end the
    answer, looked for here too, as servers differ in it. learn: told of every token. forget: takes an error; whether
    the request can be made in another way.

    Iterating raises RemoteError or ContextOverflow before the first token, after up to three attempts; and
    AnswerInterrupted after it.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        body: Callable[[], Mapping[str, Any]],
        *,
        seed: int,
        stop: Sequence[str],
        tags: ThinkTags | None,
        learn: Callable[[Token], None],
        forget: Callable[[RemoteError], bool],
    ) -> None:
        self.phase: Phase = "queued"
        self.prompt: tuple[int, ...] = ()
        self.begun = NOTHING
        self.stats = Stats(seed=seed)
        self._connection = connection
        self._path = path
        self._body = body
        self._learn = learn
        self._forget = forget
        self._text = AnswerStream(stop, tags)
        self._steps: queue.SimpleQueue[Step | Exception] = queue.SimpleQueue()
        self._began = self._first = 0.0
        self._size = 0
        self._told = False
        self._last = 0.0
        self._reason: FinishReason | None = None
        self._over = False
        self._cancelled = False
        self._task: Future[None] | None = None

    def __iter__(self) -> Iterator[Step]:
        self._task = self._connection.start(self._work())
        if self._cancelled:
            self._task.cancel()
        self._task.add_done_callback(self._ended)
        while True:
            item = self._steps.get()
            if isinstance(item, Exception):
                self.phase = "done"
                raise item
            if item.finish_reason:
                self.phase = "done"
            yield item
            if item.finish_reason:
                return

    def cancel(self) -> None:
        """Close the connection, in whatever phase; the server then frees what it used."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _ended(self, task: Future[None]) -> None:
        """However the work ended, whoever reads the steps hears of it."""
        if task.cancelled():
            if self._cancelled:
                # On the loop, where the text is made, and behind the task's own end.
                self._connection.soon(lambda: self._finish("cancelled"))
            else:
                self._steps.put(EngineClosed("Fireside has let go of the engine during the answer: ask again"))
        elif error := task.exception():
            self._steps.put(error if isinstance(error, Exception) else EngineError(str(error)))

    async def _work(self) -> None:
        self._began = perf_counter()
        self.phase = "prefill"
        while True:
            try:
                # After the first token nothing is asked for again: the attempt returns what went wrong then.
                broken = await self._connection.retried(self._attempt)
            except RemoteError as error:
                if not self._forget(error):
                    raise
                continue
            if broken is not None:
                self._connection.breaker.failed(str(broken))
                raise AnswerInterrupted(f"{broken}. What there is of the answer is kept") from broken
            return

    async def _attempt(self) -> Exception | None:
        patience = self._connection.patience
        try:
            async with (
                asyncio.timeout(patience.first) as limit,
                self._connection.request("POST", self._path, self._body()) as response,
            ):
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind != "text/event-stream":
                    raise ServerFailed(
                        f"the engine sent {kind or 'something untyped'!r:.60} in place of an event stream"
                    )
                await self._read(response.aiter_raw(), limit)
        except TimeoutError:
            if self._reason:
                return self._finish(self._reason)
            seconds = patience.next if self._told else patience.first
            return self._failed(Unreachable(f"the engine said nothing for {seconds:g} s"))
        except (RemoteError, ContextOverflow) as error:
            if self._reason:
                return self._finish(self._reason)
            return self._failed(error)
        return None

    def _failed(self, error: Exception) -> Exception:
        """The error, if there are tokens already; raises it otherwise."""
        if self._told:
            return error
        raise error

    async def _read(self, received: Any, limit: asyncio.Timeout) -> None:
        events, loop = EventReader(), asyncio.get_running_loop()
        async for piece in received:
            for data in events.push(piece):
                if self._event(data):
                    return
                if self._reason:
                    limit.reschedule(loop.time() + USAGE_SECONDS)
            # A server that sends anything else, pings say, is not one that goes on.
            if self._told and not self._reason:
                limit.reschedule(self._last + self._connection.patience.next)
        if any(self._event(data) for data in events.finish()):
            return
        if self._reason is None:
            raise ServerFailed("the engine's answer ended without its end")
        self._finish(self._reason)

    def _event(self, data: str) -> bool:
        """Take one in; whether it was the last."""
        if data.strip() == DONE:
            self._finish(self._reason or "stop")
            return True
        chunk = chunk_of(data)
        self._take(chunk)
        if self._text.stopped:
            self._finish("stop")
            return True
        if chunk.finish_reason:
            # Servers have more reasons, such as `content_filter`.
            self._reason = "length" if chunk.finish_reason == "length" else "stop"
        if self._reason and chunk.usage:
            self._finish(self._reason)
            return True
        return False

    def _take(self, chunk: Chunk) -> None:
        if chunk.usage is not None:
            self._account(chunk.usage)
        if not (chunk.text or chunk.reasoning or chunk.calls or chunk.tokens):
            return
        now = perf_counter()
        self._first = self._first or now
        text, reasoning = chunk.text.encode("utf-8", "replace"), chunk.reasoning.encode("utf-8", "replace").decode()
        self._size += len(text) + len(reasoning) + sum(len(call.arguments) + len(call.name) for call in chunk.calls)
        if self._size > MAX_ANSWER_BYTES:
            raise ServerFailed(f"the engine's answer has more than {MAX_ANSWER_BYTES:,} bytes")
        self.phase, self._told, self._last = "decode", True, asyncio.get_running_loop().time()
        self.stats = replace(
            self.stats,
            new_tokens=self.stats.new_tokens + (len(chunk.tokens) or 1),
            prefill_seconds=self._first - self._began,
            ttft_seconds=self._first - self._began,
            decode_seconds=now - self._first,
        )
        shown = self._text.push(text)
        shown = Shown(reasoning + shown.reasoning, shown.text, chunk.calls)
        for token in chunk.tokens[:-1]:
            self._learn(token)
            self._steps.put(Step(token.id, "", token.logprob, token.top, rank=token.rank))
        if chunk.tokens:
            self._learn(last := chunk.tokens[-1])
            known = {"reasoning": shown.reasoning, "calls": shown.calls, "rank": last.rank}
            self._steps.put(Step(last.id, shown.text, last.logprob, last.top, **known))
        elif shown != NOTHING:
            self._steps.put(Step(None, shown.text, 0.0, (), None, shown.reasoning, calls=shown.calls))

    def _account(self, usage: Mapping[str, Any]) -> None:
        """The server's own counts, which are exact where the number of chunks is not."""
        told = {
            "prompt_tokens": count(usage, "prompt_tokens"),
            "new_tokens": count(usage, "completion_tokens"),
            "cached_tokens": count(usage, "prompt_tokens_details", "cached_tokens"),
        }
        self.stats = replace(self.stats, **{name: value for name, value in told.items() if value is not None})

    def _finish(self, reason: FinishReason) -> None:
        if self._over:
            return
        self._over = True
        shown = self._text.finish()
        self._steps.put(Step(None, shown.text, 0.0, (), reason, shown.reasoning))
