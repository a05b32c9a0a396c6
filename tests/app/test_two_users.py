"""Every route and every event of the page, asked by its owner, by another, by nobody, and with ids of both mixed.

What there is to ask is read from the routes and from the page's own configuration: one that is new fails here until it
is said how to call it.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from app.accounts.people import COOKIE
from app.changes import Changes
from app.chats import Chats
from app.engine_choice import EngineChoice
from app.fake import ScriptedBackend
from app.library import ModelLibrary
from app.models import Models
from app.server import build_app
from app.store import Store
from app.store.presets import BALANCED
from app.ui.settings import setting_values
from tests.app.serving import LIMIT_SECONDS, loader_of

BASE = "http://127.0.0.1:7860"
# In everything that is private, so that it is found wherever it gets to.
MARK = "heartwood"
FORM = ["balanced", "", "drop_oldest", *setting_values(BALANCED.to_dict())]
PREDICT = "/gradio_api/run/predict"
PAST_PARTS = ("conversation", "message", "answer", "event", "preset")


class Things(NamedTuple):
    """What one person has, by its ids, and that person's browser."""

    name: str
    browser: TestClient
    store: Store
    conversation: str
    message: str
    answer: str
    event: str
    preset: str


class World(NamedTuple):
    """A server with two users and somebody who has no account."""

    app: FastAPI
    store: Store
    anna: Things
    ben: Things
    nobody: TestClient
    events: Mapping[str, int]


def things(store: Store, browser: TestClient, user_id: str, name: str) -> Things:
    own = store.of(user_id)
    preset = own.presets.add(f"{MARK} {name}", {"temperature": 1.5})
    chat = own.conversations.create(title=f"{MARK} of {name}", preset_id=preset.id)
    own.conversations.tag(chat.id, [f"{MARK}-{name}"])
    asked = own.messages.add(chat.id, parent_id=None, role="user", content=f"{MARK} of {name}?")
    answer = own.messages.add(
        chat.id, parent_id=asked.id, role="assistant", content=f"{MARK}, {name}.", model=MARK, finish_reason="length"
    )
    gone = own.messages.add(chat.id, parent_id=answer.id, role="user", content=f"{MARK} no more, {name}")
    event = own.branches.delete(gone.id)
    return Things(name, browser, own, chat.id, asked.id, answer.id, event, preset.id)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("two")
    file = home / "tiny.gguf"
    file.touch()
    with Store.open(home / "data") as store, start_blocking_portal() as portal:

        def open_browser() -> TestClient:
            browser = TestClient(guarded, base_url=BASE, raise_server_exceptions=False, follow_redirects=False)
            # One event loop for all requests, as a server has.
            browser.portal = portal
            return browser

        models = Models(home, str(file), loader=loader_of(ScriptedBackend(["Fine."])))
        models.backend(timeout=LIMIT_SECONDS)
        chats = Chats(store, models)
        library = ModelLibrary(models, home)
        choice = EngineChoice(models, lambda: models.files(str(file)), store.home)
        # Within the loop: Gradio makes one wherever there is none, and leaves it open.
        guarded: Any = portal.call(build_app, store, chats, library, choice, Changes(store, chats))
        inner = guarded
        while not isinstance(inner, FastAPI):
            inner = inner._app
        people = []
        for name in ("Anna", "Ben"):
            user, _ = store.users.add(name, "no hash")
            browser = open_browser()
            browser.cookies.set(COOKIE, store.users.begin_session(user.id))
            people.append(things(store, browser, user.id, name))
        yield World(inner, store, people[0], people[1], open_browser(), numbers_of_events(inner))
        chats.close()
        library.close()
        models.close()


# --- routes

# How a route is called: with whose ids its address is filled. "own": each sees their own. "object": another's is
# not there. "admin": others are refused. "inside": the same, but with this engine, which cannot be looked into,
# one's own may be refused. "open": for anyone. "key": asks for a key or a secret of its own.
ROUTES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("GET", "/status"): ("own", "/status"),
    ("GET", "/health"): ("open", "/health"),
    ("GET", "/models"): ("own", "/models"),
    ("GET", "/account"): ("own", "/account"),
    ("GET", "/engine"): ("own", "/engine"),
    ("POST", "/engine/look"): ("admin", "/engine/look"),
    ("POST", "/engine/use"): ("admin", "/engine/use"),
    ("POST", "/engine/back"): ("admin", "/engine/back"),
    ("GET", "/login"): ("open", "/login"),
    ("POST", "/login"): ("open", "/login"),
    ("POST", "/logout"): ("own", ""),
    ("POST", "/control"): ("key", "/control"),
    ("POST", "/control/chat"): ("key", "/control/chat"),
    ("GET", "/stream/{message_id}"): ("object", "/stream/{answer}"),
    ("GET", "/changes"): ("own", ""),
    ("GET", "/conversations"): ("own", f"/conversations?query={MARK}"),
    ("GET", "/conversations/rows"): ("own", "/conversations/rows?ids={conversation}"),
    ("POST", "/tokens"): ("own", "/tokens"),
    ("POST", "/import"): ("own", "/import?name=chats.json"),
    ("GET", "/export"): ("own", "/export"),
    ("GET", "/export/{kind}"): ("own", "/export/json"),
    ("GET", "/export/{kind}/{ids}"): ("object", "/export/json/{conversation}"),
    ("GET", "/left-out/{kind}"): ("own", "/left-out/md"),
    ("GET", "/left-out/{kind}/{ids}"): ("inside", "/left-out/md/{conversation}"),
    ("GET", "/inside/tokens/{message_id}"): ("inside", "/inside/tokens/{answer}"),
    ("POST", "/inside/token/{message_id}/{index}"): ("inside", "/inside/token/{answer}/0"),
    ("POST", "/inside/score/{message_id}"): ("inside", "/inside/score/{answer}"),
    ("POST", "/inside/words"): ("inside", "/inside/words"),
    ("POST", "/inside/branch/{message_id}"): ("inside", "/inside/branch/{answer}"),
    ("POST", "/inside/next"): ("inside", "/inside/next"),
    ("POST", "/inside/look"): ("inside", "/inside/look"),
    ("POST", "/inside/look/{message_id}/{index}"): ("inside", "/inside/look/{answer}/0"),
    ("POST", "/inside/complete"): ("inside", "/inside/complete"),
    ("GET", "/inside/provenance/{message_id}"): ("inside", "/inside/provenance/{answer}"),
    ("POST", "/inside/replay/{message_id}"): ("inside", "/inside/replay/{answer}"),
    ("POST", "/inside/replay/conversation/{conversation_id}"): ("inside", "/inside/replay/conversation/{conversation}"),
    ("GET", "/inside/replays/{replay_id}"): ("inside", "/inside/replays/none"),
    ("POST", "/inside/replays/{replay_id}/cancel"): ("inside", "/inside/replays/none/cancel"),
    ("POST", "/inside/compare"): ("inside", "/inside/compare"),
    ("GET", "/inside/comparison/{message_id}"): ("inside", "/inside/comparison/{answer}"),
    ("POST", "/inside/pick/{message_id}"): ("inside", "/inside/pick/{answer}"),
    ("GET", "/inside/difference/{first}/{second}"): ("inside", "/inside/difference/{answer}/{answer}"),
    ("GET", "/presets/{preset_id}.json"): ("object", "/presets/{preset}.json"),
    ("GET", "/v1/models"): ("key", "/v1/models"),
    ("GET", "/v1/models/{id:path}"): ("key", "/v1/models/tiny.gguf"),
    ("POST", "/v1/chat/completions"): ("key", "/v1/chat/completions"),
    ("POST", "/v1/completions"): ("key", "/v1/completions"),
    ("POST", "/tokenize"): ("key", "/tokenize"),
    ("POST", "/detokenize"): ("key", "/detokenize"),
    ("GET", "/metrics"): ("key", "/metrics"),
    ("GET", "/openapi.json"): ("key", "/openapi.json"),
    **{
        (method, "/v1/{rest:path}"): ("key", "/v1/other")
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
    },
}


def routes(app: FastAPI) -> set[tuple[str, str]]:
    waiting: list[Any] = list(app.routes)
    for route in waiting:
        # FastAPI keeps a router that was included as it is.
        waiting += getattr(getattr(route, "original_router", None), "routes", [])
    ours = [route for route in waiting if isinstance(route, APIRoute)]
    return {(method, route.path) for route in ours for method in route.methods or ()}


# What the address alone does not say.
BODIES: Mapping[str, dict[str, Any]] = {
    "/engine/look": {"address": "http://127.0.0.1:9"},
    "/engine/use": {"address": "not an address"},
    "/inside/words": {"text": " rain"},
    "/inside/branch/{message_id}": {"index": 0, "text": " rain"},
    "/inside/next": {"conversation": "{conversation}"},
    "/inside/look": {"ids": [1]},
    "/inside/complete": {"text": "Once"},
    "/inside/compare": {"message": "{message}", "presets": ["{preset}", "{preset}"]},
}


def body_of(path: str, whose: Things) -> dict[str, Any]:
    def put(value: Any) -> Any:
        return (
            [put(each) for each in value]
            if isinstance(value, list)
            else filled(value, whose)
            if isinstance(value, str)
            else value
        )

    return {name: put(value) for name, value in BODIES.get(path, {}).items()}


def test_of_every_route_it_is_said_how_to_call_it(world: World) -> None:
    assert routes(world.app) == set(ROUTES)


def filled(address: str, whose: Things) -> str:
    return address.format(**{name: getattr(whose, name) for name in PAST_PARTS})


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_has_what_is_ones_own(world: World, method: str, path: str) -> None:
    kind, address = ROUTES[method, path]
    anna, ben, nobody = world.anna, world.ben, world.nobody
    if not address:
        assert nobody.request(method, path).status_code == 401
        return
    body: dict[str, Any] = {"json": {}} if method == "POST" and kind == "key" else {}
    unknown = nobody.request(method, filled(address, anna), **body)
    if kind == "open":
        assert MARK not in unknown.text
        return
    assert unknown.status_code in ((401, 404) if kind == "key" else (401,)), unknown.text
    if kind == "key":
        # A session is no key: other sites' pages could use it.
        assert anna.browser.request(method, address, **body).status_code in (401, 404)
        return
    body = {"json": body_of(path, anna)} if method == "POST" else {}
    before = kept(world, anna)
    theirs = ben.browser.request(method, filled(address, anna), **body)
    assert kept(world, anna) == before
    mine = anna.browser.request(method, filled(address, anna), **body)
    if kind == "admin":
        assert theirs.status_code == 403, theirs.text
        assert mine.status_code in (200, 400), mine.text
        return
    if kind == "inside":
        assert mine.status_code in (200, 400, 404), mine.text
        if mine.status_code == 200 and "{" in address:
            assert theirs.status_code == 404, theirs.text
        else:
            assert theirs.status_code in (200, 400, 404), theirs.text
        assert "of Anna" not in theirs.text
        assert f"{MARK}, Anna" not in theirs.text
        return
    assert mine.status_code == 200, mine.text
    if kind == "object":
        assert MARK in mine.text
        assert theirs.status_code == 404
        assert theirs.json()["error"].startswith("there is no ")
    assert f"{MARK} of Anna" not in theirs.text
    assert "Anna" not in theirs.text.replace(anna.conversation, "")


def test_nobody_gets_anything_of_gradios(world: World) -> None:
    """Every route of Gradio's, by every method it has, whatever it is for."""
    gradio = [route for route in world.app.routes if not isinstance(route, APIRoute) and hasattr(route, "app")]
    asked = 0
    for mount in gradio:
        waiting: list[Any] = list(getattr(mount.app, "routes", []))  # type: ignore[attr-defined]
        for route in waiting:
            waiting += getattr(getattr(route, "original_router", None), "routes", [])
            if not hasattr(route, "path"):
                continue
            path = re.sub(r"\{[^}]*\}", "x", f"{mount.path}{route.path}") or "/"  # type: ignore[attr-defined]
            for method in getattr(route, "methods", None) or ():
                asked += 1
                status = world.nobody.request(method, path).status_code
                # Whoever opens the page is led to the login; its icon is for everyone.
                expected = {303} if (method, path) == ("GET", "/") else {401, 403, 404}
                expected |= {200, 405} if path == "/favicon.ico" else set()
                assert status in expected or path.startswith("/fireside/"), f"{method} {path}: {status}"
    assert asked > 40


# --- events

Call = tuple[dict[str, str], list[Any]]
HERE = "{conversation}"
# What the browser sends along, and the inputs; ids stand for the things of whoever is asked for.
EVENTS: dict[str, Call] = {
    "load": ({}, [HERE]),
    "open_event": ({"id": HERE}, []),
    "sync": ({"id": HERE}, []),
    "ask": ({"conversation": HERE, "text": "And then?"}, [*FORM]),
    "retry": ({"id": "{answer}", "preset": "{preset}"}, [HERE, *FORM]),
    "message_version": ({"id": "{message}"}, []),
    "message_edit": ({"id": "{message}", "text": "Otherwise"}, []),
    "message_go_on": ({"id": "{answer}"}, []),
    "message_delete": ({"id": "{message}"}, []),
    "message_undo": ({"event": "{event}"}, []),
    "message_branch": ({"id": "{answer}"}, []),
    "message_context": ({"id": "{message}", "wanted": "pinned"}, []),
    "stop": ({}, [HERE]),
    "list_rename": ({"id": HERE, "title": "Other"}, []),
    "list_pin": ({"id": HERE, "pinned": "yes"}, []),
    "list_archive": ({"id": HERE}, []),
    "list_tag": ({"id": HERE, "tags": "other"}, []),
    "list_duplicate": ({"id": HERE}, []),
    "list_remove": ({"id": HERE}, []),
    "list_restore": ({"id": HERE}, []),
    "list_trash": ({}, []),
    "list_restore_messages": ({"event": "{event}"}, []),
    "list_erase": ({"id": HERE}, []),
    "list_choices": ({}, []),
    "configure": ({}, [HERE, *FORM]),
    "preset_choose": ({}, [HERE, "{preset}"]),
    "preset_save": ({"name": "Other"}, [HERE, *FORM]),
    "preset_rename": ({"name": "Other too"}, [HERE, "{preset}", *FORM[1:]]),
    "preset_duplicate": ({}, [HERE, "{preset}", *FORM[1:]]),
    "preset_take_in": ({"text": "{{}}"}, [HERE, *FORM]),
    "preset_delete": ({}, [HERE, "{preset}", *FORM[1:]]),
    "preset_reset": ({}, [HERE, "{preset}", *FORM[1:]]),
    "preset_undo": ({}, [HERE, *FORM]),
    "preset_model_ready": ({}, [HERE, *FORM]),
    "model_use_model": ({"name": "none"}, []),
    "model_download_model": ({"name": "none"}, []),
    "model_cancel_download": ({"name": "none"}, []),
    "model_remove_model": ({"name": "none"}, []),
    "model_retry_model": ({}, []),
    "model_hurry_switch": ({}, []),
    "model_keep_model": ({}, []),
}
# Of these a person without rights is refused, whatever they are called with.
ADMINS = {name for name in EVENTS if name.startswith("model_")}


def numbers_of_events(app: FastAPI) -> dict[str, int]:
    """By their names, as the page's configuration has them."""
    [mount] = [route for route in app.routes if hasattr(getattr(route, "app", None), "get_blocks")]
    config = mount.app.get_blocks().get_config_file()  # type: ignore[attr-defined]
    return {each["api_name"]: each["id"] for each in config["dependencies"]}


def test_of_every_event_it_is_said_how_to_call_it(world: World) -> None:
    assert set(world.events) == set(EVENTS)


def call(world: World, browser: TestClient, name: str, ids: Mapping[str, str]) -> Any:
    event, inputs = EVENTS[name]

    def put(value: Any) -> Any:
        return value.format(**ids) if isinstance(value, str) else value

    body = {
        "fn_index": world.events[name],
        "data": [put(value) for value in inputs],
        "event_data": {key: put(value) for key, value in event.items()},
        # Of a page that nothing was shown on since the server started.
        "session_hash": secrets.token_hex(4),
    }
    return browser.post(PREDICT, json=body)


def ids_of(person: Things) -> dict[str, str]:
    return {name: getattr(person, name) for name in PAST_PARTS}


def _wait_for_answers(world: World) -> None:
    """Those that an earlier call began grow yet."""
    deadline = time.monotonic() + LIMIT_SECONDS
    with world.store._database.read() as db:
        while list(db.query("SELECT 1 FROM messages WHERE status = 'streaming'")):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def kept(world: World, person: Things) -> list[Any]:
    """Everything in the database that is a person's."""
    owner = world.store.users.named(person.name).id
    mine = "SELECT id FROM conversations WHERE owner = ?"
    _wait_for_answers(world)
    with world.store._database.read() as db:
        return [
            *db.query("SELECT * FROM conversations WHERE owner = ? ORDER BY id", [owner]),
            *db.query(f"SELECT * FROM messages WHERE conversation_id IN ({mine}) ORDER BY id", [owner]),
            *db.query(f"SELECT * FROM events WHERE conversation_id IN ({mine}) ORDER BY id", [owner]),
            *db.query(f"SELECT * FROM conversation_tags WHERE conversation_id IN ({mine})", [owner]),
            *db.query("SELECT * FROM presets WHERE owner = ? ORDER BY id", [owner]),
            *db.query("SELECT * FROM api_keys WHERE owner = ? ORDER BY id", [owner]),
        ]


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_reaches_what_is_ones_own(world: World, name: str) -> None:
    anna, ben = world.anna, world.ben
    before = kept(world, anna)
    assert call(world, world.nobody, name, ids_of(anna)).status_code == 401
    # Another's ids, and every mixture of another's and one's own: my child with another's parent among them.
    mixtures: list[dict[str, str]] = [ids_of(anna)]
    for part in PAST_PARTS:
        mixtures += [ids_of(ben) | {part: getattr(anna, part)}, ids_of(anna) | {part: getattr(ben, part)}]
    # What is asked for is erased by some events, so that each is asked with its own.
    for mixture in mixtures:
        mine = things(world.store, ben.browser, world.store.users.named("Ben").id, "Ben")
        fresh = {key: getattr(mine, key) if value == getattr(ben, key) else value for key, value in mixture.items()}
        reply = call(world, ben.browser, name, fresh)
        assert "of Anna" not in reply.text, reply.text
        assert f"{MARK}, Anna" not in reply.text, reply.text
        assert f"{MARK} Anna" not in reply.text, reply.text
    assert kept(world, anna) == before
    if name in ADMINS:
        refused = call(world, ben.browser, name, ids_of(ben))
        assert refused.status_code == 500 or "administrator" in refused.text, refused.text


NEEDS_NOTHING_MORE = {"list_restore": "list_remove", "list_erase": "list_remove"}
# Which cannot succeed with what there is: a file that is no preset, settings nobody has changed, models not there.
REFUSED_HERE = {"preset_take_in", "preset_undo", *ADMINS}


@pytest.mark.parametrize("name", [name for name in EVENTS if name not in REFUSED_HERE])
def test_the_same_call_works_for_its_owner(world: World, name: str) -> None:
    """Or the refusals above would tell nothing."""
    mine = things(world.store, world.anna.browser, world.store.users.named("Anna").id, "Anna")
    if first := NEEDS_NOTHING_MORE.get(name):
        assert call(world, mine.browser, first, ids_of(mine)).status_code == 200
    reply = call(world, mine.browser, name, ids_of(mine))
    assert reply.status_code == 200, reply.text
    assert '"kind":"error"' not in reply.text.replace(" ", ""), reply.text


def test_the_page_that_everyone_is_sent_has_nothing_of_anybodys(world: World) -> None:
    for person in (world.anna, world.ben):
        page = person.browser.get("/")
        assert page.status_code == 200
        assert MARK not in page.text


def test_the_whole_of_what_a_session_is_good_for_ends_with_it(world: World) -> None:
    user = world.store.users.named("Ben")
    token = world.store.users.begin_session(user.id)
    browser = TestClient(world.ben.browser.app, base_url=BASE, follow_redirects=False)
    browser.cookies.set(COOKIE, token)
    assert browser.get("/account").json() == {"name": "Ben", "admin": False}
    world.store.users.end_session(token)
    assert browser.get("/account").status_code == 401
    assert browser.get("/").headers["location"] == "/login?next=%2F"


# --- other sites

SITES: dict[str, Callable[[], dict[str, str]]] = {
    "another host": lambda: {"host": "evil.invalid"},
    "another origin": lambda: {"origin": "http://evil.invalid"},
    "no origin": lambda: {"origin": "null"},
    "across sites": lambda: {"sec-fetch-site": "cross-site"},
}


@pytest.mark.parametrize("site", SITES)
def test_other_sites_get_nothing_by_any_route_and_method(world: World, site: str) -> None:
    headers = SITES[site]()
    for path in (*{address for _, address in ROUTES.values() if address}, "/", PREDICT, "/logout"):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            if "host" not in headers and method in ("GET", "HEAD", "OPTIONS"):
                continue
            reply = world.anna.browser.request(method, filled(path, world.anna), headers=headers)
            assert reply.status_code == (421 if "host" in headers else 403), f"{method} {path}"
            assert not [name for name in reply.headers if name.startswith("access-control-")]


def test_no_answer_is_for_other_sites_to_read(world: World) -> None:
    for path in ("/status", "/", "/v1/models", "/health"):
        for method in ("GET", "OPTIONS"):
            reply = world.anna.browser.request(method, path, headers={"origin": "http://evil.invalid"})
            assert not [name for name in reply.headers if name.startswith("access-control-")], path
