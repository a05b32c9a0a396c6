"""Keys: made and revoked on the command line, and asked for with one verdict in whatever header they come."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import openai
import pytest
from starlette.requests import Request

from app.api.errors import ApiError
from app.api.gate import Gate
from app.fake import ScriptedBackend
from app.store import Store, StoreError
from tests.app import plain_http
from tests.app.api.conftest import api_server
from tests.app.command import assert_refused, fireside_here

OPEN = ("/health",)
CLOSED = ("/v1/models", "/v1/models/tiny.gguf", "/v1/nothing", "/metrics", "/openapi.json")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """The address of a server, a good key and a revoked one."""
    with Store.open(tmp_path_factory.mktemp("keys") / "home") as store:
        good, bad = store.keys.add("editor"), store.keys.add("old")
        store.keys.revoke("old")
        with api_server(store, ScriptedBackend()) as address:
            yield address, good, bad


@pytest.mark.parametrize("key", ["good", "revoked", "other", "empty", "longer"])
@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer {}"),
        ("authorization", "bearer {}"),
        ("AUTHORIZATION", "BEARER   {}"),
        ("x-api-key", "{}"),
        ("X-Api-Key", "{}"),
        ("api-key", "{}"),
    ],
)
def test_the_verdict_is_the_same_in_every_header(
    served: tuple[str, str, str], key: str, header: tuple[str, str]
) -> None:
    address, good, revoked = served
    text = {"good": good, "revoked": revoked, "other": "fs-" + "A" * 43, "empty": "", "longer": good + "A"}[key]
    name, form = header
    for path in CLOSED:
        response = plain_http.get(address + path, headers={name: form.format(text).strip()})
        assert (response.status_code == 401) == (key != "good")
        if key != "good":
            assert response.json()["error"]["code"] == "invalid_api_key"
            assert "Bearer" in response.headers["www-authenticate"]
            assert not text or text not in response.text


def test_without_a_key_only_health_is_told(served: tuple[str, str, str]) -> None:
    assert [plain_http.get(served[0] + path).status_code for path in OPEN] == [200]
    assert {plain_http.get(served[0] + path).status_code for path in CLOSED} == {401}
    for path in ("/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize"):
        # Before anything of the body is looked at.
        assert plain_http.post(served[0] + path, content=b"{").status_code == 401


@pytest.mark.parametrize("second", [("x-api-key", "fs-wrong"), ("authorization", "Basic dXNlcg=="), ("api-key", "")])
def test_a_good_key_beside_a_bad_one_is_not_enough(served: tuple[str, str, str], second: tuple[str, str]) -> None:
    headers = [("authorization", f"Bearer {served[1]}"), second]
    assert plain_http.get(f"{served[0]}/v1/models", headers=headers).status_code == 401


def test_openai_python_is_told(served: tuple[str, str, str]) -> None:
    address, good, revoked = served
    with openai.OpenAI(base_url=f"{address}/v1", api_key=good, max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["tiny.gguf"]
    with (
        openai.OpenAI(base_url=f"{address}/v1", api_key=revoked, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_a_key_is_kept_as_a_hash(store: Store) -> None:
    key = store.keys.add("editor")
    with closing(sqlite3.connect(store.home / "fireside.db")) as reader:
        dump = "\n".join(reader.iterdump())
    assert key not in dump
    assert key[:7] in dump
    assert store.keys.good(key)
    assert not store.keys.good(key[:-1])


def test_revoking_the_last_key_does_not_open_the_door(store: Store) -> None:
    assert not store.keys.any()
    key = store.keys.add("editor")
    store.keys.revoke("editor")
    assert store.keys.any()
    assert not store.keys.good(key)
    with pytest.raises(StoreError, match="no key is named 'editor'"):
        store.keys.revoke("editor")
    # The name is free again.
    assert store.keys.add("editor") != key


@pytest.mark.parametrize("name", ["", "  ", "a" * 81, "a\nb"])
def test_names_that_no_key_can_have(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="1 to 80"):
        store.keys.add(name)


def test_beyond_this_computer_a_key_is_needed_from_the_start(store: Store) -> None:
    request = Request({"type": "http", "method": "GET", "path": "/v1/models", "headers": []})
    Gate(store)(request)
    with pytest.raises(ApiError, match="needed"):
        Gate(store, always=True)(request)


def test_keys_on_the_command_line(tmp_path: Path) -> None:
    home = ("--home", tmp_path)
    made = fireside_here("key", "add", "My editor", "--keep", *home)
    assert made.returncode == 0
    key = made.stdout.strip()
    assert_refused(fireside_here("key", "add", "My editor", *home), 1, "My editor", "already")
    assert fireside_here("key", "rm", "My editor", *home).returncode == 0
    shown = fireside_here("key", "list", *home).stdout
    assert shown.startswith(f"My editor: {key[:7]}…, made ")
    assert "revoked" in shown
    assert "keeps its chats" in shown
    assert key not in shown
    with Store.open(tmp_path) as store:
        assert not store.keys.good(key)
