"""What a reasoning model thinks goes through the chat service, the store and the stream apart from its answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from app.backend import Message
from app.chats import Chats, Sent
from app.fake import ScriptedBackend
from app.live import THOUGHT_MS, LiveRun
from app.models import Models
from app.store import Message as StoredMessage
from app.store import Store
from app.stream import stream_route
from app.workspace import Workspaces
from engine.reasoning import TAGS
from tests.app.serving import as_owner

PIECES = ["<th", "ink>\n", "Is", " it", "?\n", "</", "think>", "\n\n", "Yes", "."]
SECONDS = 20.0
Start = Callable[..., tuple[Chats, ScriptedBackend]]


@pytest.fixture
def start(store: Store, tmp_path: Path) -> Iterator[Start]:
    """A chat service with a reasoning model of this script."""
    opened: list[Chats | Models] = []

    def begin(script: Sequence[str] = PIECES, pace: float = 0.0) -> tuple[Chats, ScriptedBackend]:
        file = tmp_path / "scripted.gguf"
        file.write_bytes(b"GGUF")
        backend = ScriptedBackend(script, pace=pace, tags=TAGS[0])
        models = Models(tmp_path, str(file), loader=lambda path, on_progress: backend)
        chats = Chats(store, models)
        opened.extend([chats, models])
        return chats, backend

    yield begin
    for one in opened:
        one.close()


def run_of(chats: Chats, sent: Sent) -> LiveRun:
    live = chats.live(sent.message_id)
    assert live is not None
    return live


def finish(chats: Chats, store: Store, sent: Sent) -> StoredMessage:
    live = run_of(chats, sent)
    position = 0
    while not live.done:
        assert live.wait(position, SECONDS)
        *_, position = live.shown_from(position)
    return store.messages.get(sent.message_id)


def test_thoughts_are_stored_beside_the_answer(store: Store, start: Start) -> None:
    chats, backend = start(pace=0.01)
    message = finish(chats, store, chats.send(None, "Is it?"))
    assert (message.reasoning, message.content) == ("Is it?", "Yes.")
    assert (message.status, message.new_tokens) == ("complete", len(PIECES))
    assert 10 <= message.extra[THOUGHT_MS] < 5_000
    assert backend.info.reasoning


def test_a_model_that_does_not_reason_may_write_of_tags(store: Store, start: Start) -> None:
    chats, backend = start()
    backend.tags = None
    message = finish(chats, store, chats.send(None, "Write about tags"))
    assert (message.reasoning, message.content) == (None, "".join(PIECES))
    assert THOUGHT_MS not in message.extra


def test_the_next_prompt_brings_the_thoughts_under_their_own_name(store: Store, start: Start) -> None:
    chats, backend = start()
    sent = chats.send(None, "Is it?")
    finish(chats, store, sent)
    finish(chats, store, chats.send(sent.conversation_id, "And now?"))
    asked: Sequence[Message] = backend.requests[-1][0]
    assert asked[1] == {"role": "assistant", "content": "Yes.", "reasoning_content": "Is it?"}
    assert [set(message) for message in asked[::2]] == [{"role", "content"}] * 2


def test_stopped_in_its_thoughts_an_answer_keeps_them(store: Store, start: Start) -> None:
    chats, _ = start(["<think>", *["hm "] * 500], pace=0.01)
    sent = chats.send(None, "Think")
    live = run_of(chats, sent)
    assert live.wait(5, SECONDS)
    chats.stop(sent.conversation_id)
    message = finish(chats, store, sent)
    assert message.status == "stopped"
    assert message.content == ""
    assert message.reasoning
    assert message.reasoning.startswith("hm hm")


def test_the_stream_brings_thoughts_and_answer_from_any_position(store: Store, start: Start) -> None:
    chats, _ = start(pace=0.01)
    sent = chats.send(None, "Is it?")
    whole = ("Is it?", "Yes.")

    async def fetch(position: int) -> list[tuple[int, dict[str, str]]]:
        app = FastAPI()
        app.include_router(stream_route(Workspaces(store, chats)))
        async with AsyncClient(transport=ASGITransport(as_owner(app)), base_url="http://test") as client:
            response = await client.get(f"/stream/{sent.message_id}?from={position}")
        blocks = [block.splitlines() for block in response.text.split("\n\n") if block.startswith("event: text")]
        return [(int(id.removeprefix("id: ")), json.loads(data.removeprefix("data: "))) for _, id, data in blocks]

    for position in range(12):
        events = asyncio.run(fetch(position))
        got = tuple("".join(data[name] for _, data in events) for name in ("reasoning", "text"))
        assert got == (whole[0][position:], whole[1][max(0, position - len(whole[0])) :])
        assert events[-1][0] == max(position, sum(map(len, whole)))
