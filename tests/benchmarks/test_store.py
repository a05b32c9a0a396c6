"""The benchmark of the store on a small history: that it runs, and that its rows are those of the service."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.chats import Chats
from app.fake import ScriptedBackend
from app.models import Models
from app.store import Store
from app.store.store import DATABASE
from benchmarks.history import Size, build
from benchmarks.store import TARGETS, longest_conversation, measure, report

SMALL = Size(messages=500, conversations=20, longest=200)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("history") / "home"
    build(home, SMALL)
    return home


@pytest.fixture
def models(tmp_path: Path) -> Models:
    def load(path: Path, *, on_progress: Callable[[float], None]) -> ScriptedBackend:
        return ScriptedBackend()

    model = tmp_path / "scripted.gguf"
    model.write_bytes(b"GGUF")
    models = Models(tmp_path, str(model), loader=load)
    models.start()
    models.backend(timeout=10)
    return models


def rows(home: Path, query: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(home / DATABASE)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(query)]


def test_it_measures_every_act(home: Path, models: Models) -> None:
    took = measure(home, models, count=28, rounds=1)
    assert set(took) == set(TARGETS)
    assert all(took[act] for act in ("search", "open 1,000 messages", "list of chats", "start"))
    assert len(took["search"]) == 14
    text = report(took, "python -m benchmarks.store", home, 0.0)
    assert "500 messages in 20 conversations" in text
    assert "| search | 28 |" in text
    models.close()


def test_the_history_is_as_long_as_asked_for(home: Path) -> None:
    assert rows(home, "SELECT count(*) AS n FROM messages") == [{"n": 500}]
    with Store.open(home) as store:
        path = store.messages.path(longest_conversation(home))
        assert [message.role for message in path] == ["user", "assistant"] * 100
        word = path[1].content.split()[0].strip(".").lower()
        assert store.messages.search(word)
    with closing(sqlite3.connect(home / DATABASE)) as db:
        db.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 1)")
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_its_rows_are_those_of_the_service(home: Path, models: Models, tmp_path: Path) -> None:
    with Store.open(tmp_path / "served") as store:
        chats = Chats(store, models)
        chats.send(None, "Hello")
        chats.close()
    models.close()
    for table, where in (("conversations", "1"), ("messages", "role = 'user'"), ("messages", "role = 'assistant'")):
        [served] = rows(tmp_path / "served", f"SELECT * FROM {table} WHERE {where} LIMIT 1")
        made = rows(home, f"SELECT * FROM {table} WHERE {where}")
        names = {name for name, value in served.items() if value is not None} - {"cjk"}
        assert [name for row in made for name in names if row[name] is None] == []
