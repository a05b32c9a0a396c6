"""Chats over the API that are kept: of a key that says so, and of no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import openai
import pytest

from app.fake import ScriptedBackend
from app.store import Conversation, Message, Store
from engine import EngineError
from tests.app.api.caller import MODEL, Caller
from tests.app.api.conftest import api_server
from tests.app.serving import LIMIT_SECONDS
from tests.engine.tool_templates import HERMES
from tests.tiny import write_tiny_llama

USER: Any = {"role": "user", "content": "Is it warm in Oslo?"}
FIRST: list[Any] = [{"role": "system", "content": "Be brief."}, USER]


class Served(NamedTuple):
    store: Store
    backend: ScriptedBackend
    keeping: openai.OpenAI
    forgetting: openai.OpenAI


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    backend = ScriptedBackend(["Hello", " there", "."])
    with Store.open(tmp_path_factory.mktemp("keeping") / "home") as store:
        keys = store.keys.add("My editor", keep=True), store.keys.add("scripts")
        with api_server(store, backend) as address:
            clients = [client_with(address, key) for key in keys]
            yield Served(store, backend, *clients)
            for client in clients:
                client.close()


@pytest.fixture
def served(server: Served) -> Served:
    for id in server.store.conversations.ids():
        server.store.conversations.delete(id)
    server.backend.error, server.backend.error_at, server.backend.pace = None, None, 0.0
    return server


def client_with(address: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=LIMIT_SECONDS)


def ask(client: openai.OpenAI, messages: list[Any], **more: Any) -> Any:
    answer: Any = client.chat.completions.create(model="", messages=messages, **more)
    return list(answer) if more.get("stream") else answer


def kept(store: Store) -> list[tuple[Conversation, list[Message]]]:
    return [(each, store.messages.path(each.id)) for each in store.conversations.list()]


@pytest.mark.parametrize("stream", [False, True])
def test_an_exchange_is_kept_with_all_that_made_the_answer(served: Served, stream: bool) -> None:
    ask(served.keeping, FIRST, seed=7, temperature=0.5, stream=stream)
    [(chat, path)] = kept(served.store)
    assert (chat.title, chat.system_prompt) == (USER["content"], "Be brief.")
    assert served.store.conversations.tags(chat.id) == ["My editor"]
    assert [(each.role, each.content) for each in path] == [("user", USER["content"]), ("assistant", "Hello there.")]
    answer = served.store.messages.get(path[-1].id)
    assert (answer.status, answer.finish_reason, answer.model, answer.seed) == ("complete", "stop", "scripted", 7)
    assert answer.settings["temperature"] == 0.5
    assert (answer.prompt_tokens, answer.new_tokens) == (9, 3)
    assert answer.token_ids


def test_what_goes_on_with_the_latest_answer_is_the_same_chat(served: Served) -> None:
    said = [*FIRST]
    for text in ("And in Rome?", "Thanks"):
        answer = ask(served.keeping, said).choices[0].message.content
        said += [{"role": "assistant", "content": answer}, {"role": "user", "content": text}]
    ask(served.keeping, said, stream=True)
    [(_, path)] = kept(served.store)
    assert [each.content for each in path] == [
        *(USER["content"], "Hello there.", "And in Rome?", "Hello there.", "Thanks", "Hello there.")
    ]
    # Of an earlier one it is another, with all that was said before.
    ask(served.keeping, said[:4])
    assert sorted(len(path) for _, path in kept(served.store)) == [4, 6]


def test_what_was_deleted_is_not_gone_on_with(served: Served) -> None:
    ask(served.keeping, FIRST)
    [(chat, path)] = kept(served.store)
    served.store.branches.delete(path[-1].id)
    ask(served.keeping, [*FIRST, {"role": "assistant", "content": "Hello there."}, USER])
    assert {len(path) for _, path in kept(served.store)} == {1, 4}
    assert served.store.messages.path(chat.id) == [path[0]]


def test_several_answers_are_versions(served: Served) -> None:
    ask(served.keeping, FIRST, n=3)
    [(_, path)] = kept(served.store)
    assert len(served.store.messages.siblings(path[-1].id)) == 3


def test_an_answer_that_fails_is_kept_as_far_as_it_came(served: Served) -> None:
    served.backend.error, served.backend.error_at = EngineError("the engine failed: try again"), 2
    with pytest.raises(openai.InternalServerError):
        ask(served.keeping, FIRST)
    [(_, path)] = kept(served.store)
    assert (path[-1].status, path[-1].content, path[-1].extra["error"]) == (
        *("error", "Hello there", "the engine failed: try again"),
    )


def test_the_question_is_kept_before_there_is_an_answer(served: Served) -> None:
    served.backend.pace = lambda number: 0.0 if number == 0 else 0.3
    chunks = served.keeping.chat.completions.create(model="", messages=FIRST, stream=True)
    assert next(text for chunk in chunks if (text := chunk.choices[0].delta.content)) == "Hello"
    [(chat, path)] = kept(served.store)
    assert [each.content for each in path] == [USER["content"]]
    assert served.store.conversations.tags(chat.id) == ["My editor"]
    # Who deletes it on the page does not want its answer either.
    served.store.conversations.delete(chat.id)
    list(chunks)
    assert kept(served.store) == []


def test_other_keys_leave_nothing(served: Served) -> None:
    ask(served.forgetting, FIRST)
    # Of two keys in one request both must say it.
    ask(served.keeping, FIRST, extra_headers={"x-api-key": served.forgetting.api_key})
    served.keeping.completions.create(model="", prompt="Once")
    assert kept(served.store) == []


def test_a_users_chats_are_that_users(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Store.open(tmp_path_factory.mktemp("theirs") / "home") as store:
        anna, ben = (store.users.add(name, "no hash")[0] for name in ("Anna", "Ben"))
        key = store.of(anna.id).keys.add("My editor", keep=True)
        with api_server(store, ScriptedBackend()) as address, client_with(address, key) as client:
            ask(client, FIRST)
        assert len(kept(store.of(anna.id))) == 1
        assert kept(store.of(ben.id)) == []


def test_calls_and_their_results_are_kept_beside_the_answers(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("calls")
    path = write_tiny_llama(folder / MODEL, context=2048, layers=1, chat_template=HERMES)
    tool = {"name": "light", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}
    more: dict[str, Any] = {"tools": [{"type": "function", "function": tool}], "max_tokens": 120, "seed": 1}
    with Store.open(folder / "home") as store, Caller.load(path, kernels="torch") as engine:
        key = store.keys.add("agent", keep=True)
        with api_server(store, engine) as address, client_with(address, key) as client:
            called = ask(client, [USER], **more).choices[0].message
            result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "lit"}
            ask(client, [USER, called.model_dump(exclude_none=True), result], **more)
        [(_, messages)] = kept(store)
        assert [each.role for each in messages] == ["user", "assistant", "assistant"]
        assert messages[1].content == "```\nlight({})\n```"
        assert messages[2].extra["tool_messages"][0]["content"] == "lit"
