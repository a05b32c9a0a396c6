"""Requests to an engine elsewhere: one loop on a thread of its own, so that whatever waits can be given up at once."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from app.remote.address import Address
from app.remote.breaker import Breaker
from app.remote.chunks import error_text
from app.remote.errors import (
    BadAddress,
    NotThere,
    Overloaded,
    Rejected,
    RemoteError,
    ServerFailed,
    Starting,
    Unauthorised,
    Unreachable,
)
from app.remote.pinned import ForbiddenAddress, PinnedTransport
from engine import ContextOverflow, EngineClosed

MAX_BODY_BYTES = 8_000_000
MAX_ERROR_BYTES = 64_000
ATTEMPTS = 3
# A server that asks for longer is told of, and not waited for.
MAX_PAUSE_SECONDS = 8.0
CLOSE_SECONDS = 2.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: to connect; for a short reply; for an answer's first token; between its tokens; before the second try.

    A prompt may be read for minutes on a CPU before its first token.
    """

    connect: float = 5.0
    reply: float = 15.0
    first: float = 300.0
    next: float = 60.0
    pause: float = 0.5


class Connection:
    """To one server. Environment proxies are not used and redirects not followed: only the given host is spoken to."""

    def __init__(self, address: Address, patience: Patience, breaker: Breaker) -> None:
        self.address = address
        self.patience = patience
        self.breaker = breaker
        self._loop = asyncio.new_event_loop()
        self._client = httpx.AsyncClient(
            headers=address.headers,
            timeout=httpx.Timeout(None, connect=patience.connect, pool=None),
            transport=PinnedTransport(
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=8),
                verify=httpx.create_ssl_context() if address.base.startswith("https") else False,
                trust_env=False,
            ),
            trust_env=False,
            follow_redirects=False,
        )
        self._thread = threading.Thread(target=self._loop.run_forever, name="remote-engine", daemon=True)
        self._thread.start()
        self._closed = threading.Lock()
        self._work: set[Future[Any]] = set()

    @property
    def under_way(self) -> int:
        """How many pieces of work have not ended."""
        return len(self._work)

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have work done; raises EngineClosed after `close`."""
        if self._loop.is_closed() or not self._thread.is_alive():
            work.close()
            raise EngineClosed("Fireside has let go of this engine: ask again")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._work.add(future)
        future.add_done_callback(self._work.discard)
        return future

    def get(self, path: str) -> Any:
        """A JSON reply from the server's root."""
        return self.start(self.retried(lambda: self._reply("GET", path, None))).result()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.start(self.retried(lambda: self._reply("POST", path, body))).result()

    def soon(self, call: Callable[[], None]) -> None:
        """Call this on the loop's thread, or at once where the loop has ended."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            call()

    def close(self) -> None:
        """End everything under way; calling it again does nothing."""
        if not self._closed.acquire(blocking=False):
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @asynccontextmanager
    async def request(self, method: str, path: str, body: Mapping[str, Any] | None) -> AsyncIterator[httpx.Response]:
        """A response with a good status, its body not read; raises RemoteError, ContextOverflow."""
        content = None if body is None else json.dumps(body, ensure_ascii=True).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        url = self.address.root + path
        try:
            async with self._client.stream(method, url, content=content, headers=kind) as response:
                if response.status_code != 200:
                    raise await self._error(response)
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise ServerFailed(f"the engine at {self.address.base} sent a compressed reply, which is not read")
                yield response
        except ForbiddenAddress as error:
            raise BadAddress(f"nothing is sent to {self.address.base}: {error}") from error
        except httpx.ConnectTimeout as error:
            seconds = self.patience.connect
            raise Unreachable(f"the engine at {self.address.base} does not answer within {seconds:g} s") from error
        except httpx.ConnectError as error:
            raise Unreachable(f"the engine at {self.address.base} cannot be reached: is it running?") from error
        except httpx.HTTPError as error:
            raise Unreachable(f"the engine at {self.address.base} broke the connection: {_name(error)}") from error

    async def retried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try up to ATTEMPTS times, with growing pauses, as long as it fails in a way that may pass."""
        for number in range(ATTEMPTS):
            self.breaker.enter()
            try:
                result = await attempt()
            except Overloaded as error:
                pause = self._pause(number) if error.after is None else error.after
                if number == ATTEMPTS - 1 or pause > MAX_PAUSE_SECONDS:
                    raise
            except ContextOverflow:
                self.breaker.succeeded()
                raise
            except RemoteError as error:
                if not error.transient:
                    self.breaker.succeeded()
                    raise
                self.breaker.failed(str(error))
                if number == ATTEMPTS - 1 or isinstance(error, Starting):
                    raise
                pause = self._pause(number)
            else:
                self.breaker.succeeded()
                return result
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _reply(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        try:
            async with asyncio.timeout(self.patience.reply), self.request(method, path, body) as response:
                data = await _read(response, MAX_BODY_BYTES)
        except TimeoutError as error:
            seconds = self.patience.reply
            raise Unreachable(f"the engine at {self.address.base} gave no reply within {seconds:g} s") from error
        if data is None:
            raise ServerFailed(f"the engine's reply to {path} has more than {MAX_BODY_BYTES:,} bytes")
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ServerFailed(f"the engine's reply to {path} is no JSON") from error

    async def _error(self, response: httpx.Response) -> Exception:
        """What a refusal means."""
        status, base = response.status_code, self.address.base
        if 300 <= status < 400 or status < 200:
            return Rejected(
                f"the engine at {base} sends elsewhere (HTTP {status}), which is not followed: give its place"
            )
        try:
            async with asyncio.timeout(self.patience.reply):
                data = await _read(response, MAX_ERROR_BYTES) or b""
        except (TimeoutError, httpx.HTTPError):
            data = b""
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            body = data.decode("utf-8", "replace")
        why = error_text(body) or "it does not say why"
        if overflow := _overflow(body, why, status):
            return overflow
        match status:
            case 401 | 403:
                return Unauthorised(f"the engine at {base} wants another key (HTTP {status}): {why}")
            case 404 | 405:
                return NotThere(f"the engine at {base} does not have what was asked for (HTTP {status}): {why}")
            case 429:
                after = _seconds(response.headers.get("retry-after"))
                again = "" if after is None else f", try again in {after:g} s"
                return Overloaded(f"the engine at {base} has too much to do{again}: {why}", after)
            case 503:
                return Starting(f"the engine at {base} is not ready yet: {why}")
            case 408 | 409 | 425:
                return ServerFailed(f"the engine at {base} did not get to it (HTTP {status}): {why}")
            case _ if status >= 500:
                return ServerFailed(f"the engine at {base} failed (HTTP {status}): {why}")
        return Rejected(f"the engine at {base} does not take the request (HTTP {status}): {why}")

    def _pause(self, number: int) -> float:
        """Doubles with every attempt; a random part of it, so that those who failed together do not return together."""
        return min(MAX_PAUSE_SECONDS, self.patience.pause * 2**number) * random.uniform(0.5, 1.0)

    async def _end(self) -> None:
        others = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=CLOSE_SECONDS)
        await self._client.aclose()


async def _read(response: httpx.Response, limit: int) -> bytes | None:
    """The body; None if it is longer than the limit."""
    data = bytearray()
    async for piece in response.aiter_raw():
        data += piece
        if len(data) > limit:
            return None
    return bytes(data)


def _overflow(body: Any, why: str, status: int) -> ContextOverflow | None:
    """The error of a prompt that is too long, which every server tells in its own words."""
    if status not in (400, 413, 422):
        return None
    error = body.get("error", body) if isinstance(body, dict) else {}
    error = error if isinstance(error, dict) else {}
    need, have = error.get("n_prompt_tokens"), error.get("n_ctx")
    if isinstance(need, int) and isinstance(have, int):
        return ContextOverflow(need + 1, have)
    words = why.lower()
    if error.get("code") == "context_length_exceeded" or (
        "context" in words and ("length" in words or "exceed" in words)
    ):
        return RemoteOverflow(why)
    return None


class RemoteOverflow(ContextOverflow):
    """The prompt is too long, in the words of the server, which did not tell the numbers."""

    def __init__(self, why: str) -> None:
        super().__init__(0, 0)
        self.args = (f"the conversation is too long for the engine: {why}; shorten the message or start a new chat",)


def _seconds(text: str | None) -> float | None:
    """Of a Retry-After header; its other form, a date, is not read."""
    return float(text) if text and text.isascii() and text.isdecimal() and len(text) < 7 else None


def _name(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
