"""Conversations that an engine elsewhere answers, as they end in the store."""

from __future__ import annotations

import pytest

from app.context import CONTEXT_FROM
from app.remote import Address, RemoteEngine
from app.remote.connection import Patience
from app.store import Store
from tests.app.remote.scripted import DONE, Handler, Reply, delta, scripted, stream
from tests.app.serving import chatting, finish

QUICK = Patience(connect=5, reply=10, first=20, next=20, pause=0.01)


def too_long_from(characters: int) -> Reply:
    """Refuses prompts of so many characters, as a server that has less context than was assumed."""

    def reply(handler: Handler) -> None:
        size = sum(len(message["content"]) for message in handler.body["messages"])
        if size >= characters:
            error = {
                "message": f"{size} tokens are above the maximum context length",
                "code": "context_length_exceeded",
            }
            return handler.json({"error": error}, 400)
        return stream(delta("Fine."), delta(reason="stop"), DONE)(handler)

    return reply


@pytest.mark.parametrize("policy", ["drop_oldest", "refuse"])
def test_a_chat_that_turns_out_too_long_is_asked_once_more_with_less(store: Store, policy: str) -> None:
    with scripted(too_long_from(700)) as server:
        engine = RemoteEngine.connect(Address.parse(server.url), patience=QUICK)
        with chatting(store, engine) as chats:
            sent = None
            # Of 500 tokens of context, by three bytes a token, all of these seem to fit.
            for number in range(10):
                sent = chats.send(
                    sent and sent.conversation_id,
                    f"{number} {'w' * 290}",
                    context_policy=policy,  # type: ignore[arg-type]
                )
                message = finish(chats, store, sent)
            if policy == "refuse":
                assert (message.status, "too long for the engine" in message.extra["error"]) == ("error", True)
            else:
                assert (message.status, message.content) == ("complete", "Fine.")
                assert message.extra[CONTEXT_FROM]
            assert sent is not None
            alone = chats.send(None, "w" * 600)
            assert finish(chats, store, alone).status == "complete"
            asked = len(server.requests)
            lone = finish(chats, store, chats.send(None, "w" * 1_000))
            # There was nothing to leave out.
            assert lone.status == "error"
            assert len(server.requests) <= asked + 2
        engine.close()
