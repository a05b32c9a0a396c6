"""The data folder: opened by one process, brought up to date, refused untouched where it must be."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from app.store import (
    DatabaseNewer,
    HomeLocked,
    HomeNotWritable,
    NotFound,
    Store,
    StoreError,
)
from engine import InvalidSampling, Sampling

HOLD = """
import sys
from pathlib import Path
from app.store import Store
store = Store.open(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
store.close()
"""
TABLES = {"conversations", "messages", "presets", "messages_fts", "events"}


def database(home: Path) -> Path:
    return home / "fireside.db"


def one_line(error: BaseException) -> str:
    text = str(error)
    assert text
    assert "\n" not in text
    return text


def hold(home: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "open\n"
    return process


def test_a_strangers_tool_reads_the_file(store: Store) -> None:
    conversation = store.conversations.create(title="Hello")
    store.messages.add(conversation.id, parent_id=None, role="user", content="Good morning")
    with closing(sqlite3.connect(database(store.home))) as stranger:
        tables = {name for (name,) in stranger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables >= TABLES
        rows = stranger.execute(
            "SELECT title, role, content FROM conversations JOIN messages m ON m.id = current_message_id"
        )
        assert rows.fetchall() == [("Hello", "user", "Good morning")]
        assert stranger.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert stranger.execute("PRAGMA foreign_key_check").fetchall() == []


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        conversation = store.conversations.create(title="Kept", settings={"temperature": 0.2})
        message = store.messages.add(conversation.id, parent_id=None, role="user", content="é\0\U0001f600")
        conversation = store.conversations.get(conversation.id)
    with Store.open(tmp_path) as store:
        assert store.conversations.list() == [conversation]
        assert store.messages.path(conversation.id) == [message]
        assert store.recovered == 0
    # A clean end leaves one file that holds everything, and no owner's name.
    assert not list(tmp_path.glob("*-wal"))
    assert not (tmp_path / "fireside.pid").exists()


def test_a_newer_database_is_refused_untouched(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    with closing(sqlite3.connect(database(tmp_path))) as stranger:
        stranger.execute("INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('fireside', 'from_the_future')")
        stranger.commit()
    before = database(tmp_path).read_bytes()
    with pytest.raises(DatabaseNewer, match="from_the_future") as refused:
        Store.open(tmp_path)
    one_line(refused.value)
    assert database(tmp_path).read_bytes() == before


def test_a_second_process_is_refused_by_name_of_the_first(tmp_path: Path) -> None:
    process = hold(tmp_path)
    try:
        with pytest.raises(HomeLocked) as refused:
            Store.open(tmp_path)
        assert refused.value.pid == process.pid
        assert str(process.pid) in one_line(refused.value)
        assert str(tmp_path) in str(refused.value)
    finally:
        process.communicate("")
    Store.open(tmp_path).close()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    process = hold(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "fireside.pid").read_text().split()[0] == str(process.pid)
    with Store.open(tmp_path) as store:
        assert (tmp_path / "fireside.pid").read_text().split()[0] == str(os.getpid())
        assert store.notices == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HomeNotWritable) as refused:
        Store.open(tmp_path / "file" / "home")
    assert "--home" in one_line(refused.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HomeNotWritable, match="Permission denied") as refused:
        Store.open(tmp_path)
    one_line(refused.value)
    tmp_path.chmod(0o700)


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    Store.open(tmp_path / "home").close()
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.conversations.list()
    with pytest.raises(StoreError, match="closed"):
        store.conversations.create()


def test_a_transaction_is_kept_or_undone_as_one(store: Store) -> None:
    def create_and_fail() -> None:
        with store.transaction():
            inside = store.conversations.create(title="Undone")
            assert store.conversations.get(inside.id) == inside
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        create_and_fail()
    assert store.conversations.list() == []


def test_readers_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match="read-only"), store._database.read() as db:
        db.execute("DELETE FROM presets")
    assert len(store.presets.list()) == 3


def test_presets(store: Store) -> None:
    assert [preset.name for preset in store.presets.list()] == ["Balanced", "Creative", "Precise"]
    for preset in store.presets.list():
        assert preset.builtin
        assert Sampling.from_dict(preset.settings).max_tokens == 512
        assert "logprobs" not in preset.settings
        with pytest.raises(StoreError, match="built in"):
            store.presets.delete(preset.id)
        with pytest.raises(StoreError, match="built in"):
            store.presets.save(preset.name.upper(), {})
    mine = store.presets.save("  Mine\n", {"temperature": 0.1})
    assert (mine.name, mine.settings["temperature"]) == ("Mine", 0.1)
    again = store.presets.save("MINE", {"temperature": 0.3})
    assert (again.id, again.name) == (mine.id, "MINE")
    conversation = store.conversations.create(preset_id=mine.id)
    store.presets.delete(mine.id)
    assert store.conversations.get(conversation.id).preset_id is None
    with pytest.raises(NotFound):
        store.presets.get(mine.id)
    with pytest.raises(InvalidSampling):
        store.presets.save("Bad", {"temperature": -1})
    with pytest.raises(StoreError, match="80"):
        store.presets.save("x" * 81, {})


def test_conversations_are_listed_pinned_first_then_by_use(store: Store) -> None:
    first, second, third = (store.conversations.create(title=title) for title in ("One", "Two", "Three"))
    store.conversations.pin(second.id)
    time.sleep(0.002)  # times are kept in milliseconds
    store.messages.add(first.id, parent_id=None, role="user", content="a later message")
    assert [one.title for one in store.conversations.list()] == ["Two", "One", "Three"]
    assert [one.title for one in store.conversations.list(limit=1)] == ["Two"]
    store.conversations.delete(third.id)
    assert [one.title for one in store.conversations.list()] == ["Two", "One"]
    assert [one.title for one in store.conversations.list(deleted=True)] == ["Three"]
    store.conversations.restore(third.id)
    assert len(store.conversations.list()) == 3


def test_conversations_are_found_by_title_and_content(store: Store) -> None:
    one = store.conversations.create(title="Ärger mit 100 % Wolle")
    two = store.conversations.create(title="Knitting")
    store.messages.add(two.id, parent_id=None, role="user", content="Which needles for wool?")
    found = {query: [c.id for c in store.conversations.list(query=query)] for query in ("äRGER", "0 %", "needl", "%")}
    assert found == {"äRGER": [one.id], "0 %": [one.id], "needl": [two.id], "%": [one.id]}
    assert store.conversations.list(query="tractor") == []
    assert len(store.conversations.list(query="  ")) == 2


def test_changes_are_logged_for_undo(store: Store) -> None:
    conversation = store.conversations.create(title="Old")
    store.conversations.rename(conversation.id, "New\nname")
    store.conversations.delete(conversation.id)
    store.conversations.delete(conversation.id)
    with store._database.read() as db:
        events = list(db.query("SELECT kind, before, after FROM events ORDER BY id"))
    assert [event["kind"] for event in events] == ["rename", "delete"]
    assert [json.loads(events[0][name])["title"] for name in ("before", "after")] == ["Old", "New name"]


def test_what_is_not_there_is_named(store: Store) -> None:
    conversation = store.conversations.create()
    for call in (
        lambda: store.conversations.get("nonsense"),
        lambda: store.conversations.rename("\ud800", "x"),
        lambda: store.conversations.select(conversation.id, "nonsense"),
        lambda: store.conversations.create(preset_id="nonsense"),
        lambda: store.conversations.configure(conversation.id, system_prompt="", preset_id="no", settings={}),
        lambda: store.messages.get("nonsense"),
        lambda: store.messages.path("nonsense"),
        lambda: store.messages.path(conversation.id, leaf_id="nonsense"),
        lambda: store.messages.siblings("nonsense"),
        lambda: store.messages.leaf("nonsense"),
        lambda: store.messages.update("nonsense", content="x"),
        lambda: store.messages.add("nonsense", parent_id=None, role="user"),
        lambda: store.messages.add(conversation.id, parent_id="nonsense", role="user"),
        lambda: store.presets.delete("nonsense"),
    ):
        with pytest.raises(NotFound) as refused:
            call()
        one_line(refused.value)
