"""The event stream of an answer, over the real store and chat service with the scripted backend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response
from hypothesis import given
from hypothesis import strategies as st

from app.chats import Chats
from app.fake import ScriptedBackend
from app.models import Models
from app.store import Store
from app.stream import _position, stream_route
from app.workspace import Workspaces
from tests.app.serving import as_owner

PIECES = [f"word{number} " for number in range(30)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as store:
        yield store


@pytest.fixture
def chats(store: Store, tmp_path: Path) -> Iterator[Chats]:
    file = tmp_path / "scripted.gguf"
    file.write_bytes(b"GGUF")
    models = Models(tmp_path, str(file), loader=lambda path, on_progress: ScriptedBackend(PIECES, pace=0.01))
    chats = Chats(store, models)
    yield chats
    chats.close()
    models.close()


def get(store: Store, chats: Chats, path: str, **headers: str) -> Response:
    async def fetch() -> Response:
        app = FastAPI()
        app.include_router(stream_route(Workspaces(store, chats)))
        async with AsyncClient(transport=ASGITransport(as_owner(app)), base_url="http://test") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(fetch())


def events(response: Response) -> list[tuple[str, int, Any]]:
    """(event, id, data) of a whole stream."""
    found = []
    for block in response.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], int(fields["id"]), json.loads(fields["data"])))
    return found


def test_a_stream_brings_the_whole_answer(store: Store, chats: Chats) -> None:
    sent = chats.send(None, "go")
    response = get(store, chats, f"/stream/{sent.message_id}?from=0")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    *parts, (last, _, message) = events(response)
    assert last == "done"
    assert "".join(data["text"] for _, _, data in parts) == "".join(PIECES) == message["content"]
    assert message["status"] == "complete"
    assert message["figures"]["new_tokens"] == len(PIECES)
    # Batches, not tokens: 30 tokens take 0.3 s.
    assert len(parts) < len(PIECES)


def test_a_stream_goes_on_from_a_position(store: Store, chats: Chats) -> None:
    sent = chats.send(None, "go")
    whole = "".join(PIECES)
    for header in ({}, {"last-event-id": "10"}):
        response = get(store, chats, f"/stream/{sent.message_id}?from=10", **header)
        text = "".join(data.get("text", "") for name, _, data in events(response) if name == "text")
        assert text == whole[10:]


def test_a_finished_answer_comes_from_the_store(store: Store, chats: Chats) -> None:
    conversation = store.conversations.create()
    message = store.messages.add(conversation.id, parent_id=None, role="assistant", content="kept")
    response = get(store, chats, f"/stream/{message.id}")
    ((name, _, data),) = events(response)
    assert (name, data["content"], data["conversation"]) == ("done", "kept", conversation.id)


def test_an_unknown_answer_is_not_found(store: Store, chats: Chats) -> None:
    assert get(store, chats, "/stream/nothing").status_code == 404


def test_stop_ends_the_stream(store: Store, chats: Chats) -> None:
    sent = chats.send(None, "go")
    chats.stop(sent.conversation_id)
    *_, (name, _, message) = events(get(store, chats, f"/stream/{sent.message_id}"))
    assert (name, message["status"]) == ("done", "stopped")


@given(st.text() | st.none())
def test_any_position_is_a_number(text: str | None) -> None:
    assert _position(text) >= 0
