"""Requests that the end of the server cuts off, or a client that leaves while it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from app.cut_off import CutOff


def cut_off(*before: Message) -> Sequence[Message]:
    """What is sent of a request that is cancelled after its application has sent these."""
    sent: list[Message] = []

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        for message in before:
            await send(message)
        await asyncio.Event().wait()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        task = asyncio.create_task(CutOff(endless)({"type": "http", "method": "GET"}, receive, send))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(run())
    return sent


def test_it_is_told_so() -> None:
    start, body = cut_off()
    assert start["status"] == 503
    assert body["body"] == b"Fireside is shutting down.\n"


def test_an_answer_that_has_begun_gets_no_second_one() -> None:
    begun: Message = {"type": "http.response.start", "status": 200, "headers": []}
    assert cut_off(begun) == [begun]


def test_a_client_that_leaves_while_it_sends_is_no_fault_of_the_server() -> None:
    received: list[Message] = [
        {"type": "http.request", "body": b"half of", "more_body": True},
        {"type": "http.disconnect"},
    ]
    read: list[bytes] = []

    async def reader(scope: Scope, receive: Receive, send: Send) -> None:
        read.append(await Request(scope, receive).body())

    async def receive() -> Message:
        return received.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    asyncio.run(CutOff(reader)({"type": "http", "method": "POST"}, receive, send))  # type: ignore[arg-type]
    assert (received, read) == ([], [])
