"""Databases of every schema there ever was: brought up to date, whatever happens meanwhile."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from app.store import Store, StoreError
from app.store.check import examine
from app.store.migrations import names
from tests.app import schemas

RELEASED = names()[names().index("add_builtin_presets") :]
# Forks, so that importing is done once. A child is killed at its statement of a number, whichever connection it is on;
# the next one opens the folder as a user would. Ends when a child got through, and prints how many were killed.
KILL_AT_STATEMENTS = """
import itertools, os, shutil, signal, sqlite3, sys
from pathlib import Path
from app.store import Store

template, home, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
connect = sqlite3.connect

def attempt(kill_at):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if kill_at:
        left = itertools.count(kill_at - 1, -1)
        def trace(statement):
            if not next(left):
                os.kill(os.getpid(), signal.SIGKILL)
        def traced(*arguments, **options):
            connection = connect(*arguments, **options)
            connection.set_trace_callback(trace)
            return connection
        sqlite3.connect = traced
    with Store.open(home) as store:
        [conversation] = store.conversations.list()
        texts = [message.content for message in store.messages.path(conversation.id)]
        sound = texts == ["What is an oak?", "A tree, in Chinese \\u6a61\\u6811."] and store.notices == []
        os._exit(0 if sound and (kill_at or store.backups.list()) else 1)

for killed, number in enumerate(itertools.count(1, step)):
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(template, home)
    if attempt(number) == 0:
        print(killed)
        break
    assert attempt(0) == 0, number
"""
OPEN = """
import sys
from pathlib import Path
from app.store import HomeLocked, Store
sys.stdin.readline()
try:
    store = Store.open(Path(sys.argv[1]))
except HomeLocked as error:
    print("refused", error.pid, flush=True)
else:
    print("open", flush=True)
    sys.stdin.readline()
    store.close()
"""


def old_home(home: Path, name: str) -> Path:
    home.mkdir(exist_ok=True)
    schemas.load(name, home / "fireside.db")
    return home


@pytest.mark.parametrize("name", RELEASED)
def test_a_migration_that_is_out_makes_the_same_schema_for_ever(name: str) -> None:
    with closing(sqlite3.connect(":memory:")) as now, closing(sqlite3.connect(":memory:")) as then:
        schemas.migrate_until(now, name)
        then.executescript((schemas.FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
        assert sorted(schemas.schema(now)) == sorted(schemas.schema(then))


@pytest.mark.parametrize("name", RELEASED)
def test_a_database_of_every_schema_is_brought_up_to_date(tmp_path: Path, name: str) -> None:
    with Store.open(old_home(tmp_path, name)) as store:
        [conversation] = store.conversations.list()
        assert [message.role for message in store.messages.path(conversation.id)] == ["user", "assistant"]
        for word in ("oak", "橡树"):
            assert store.messages.search(word), word
        assert store.notices == []
        backups = store.backups.list()
    if name == RELEASED[-1]:
        assert backups == []
        return
    assert [len(examine(backup)) for backup in backups] == [names().index(name) + 1]
    assert set(examine(tmp_path / "fireside.db")) == set(names())


def test_a_failing_migration_changes_nothing(tmp_path: Path) -> None:
    old_home(tmp_path, "add_builtin_presets")
    # The last statement but one of a migration meets a table that is there already.
    with closing(sqlite3.connect(tmp_path / "fireside.db")) as stranger:
        stranger.execute("CREATE TABLE preferences (text)")
        stranger.commit()
    with pytest.raises(StoreError, match="preferences already exists") as refused:
        Store.open(tmp_path)
    assert "\n" not in str(refused.value)
    with closing(sqlite3.connect(tmp_path / "fireside.db")) as stranger:
        tables = {name for (name,) in stranger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        columns = {row[1] for row in stranger.execute("PRAGMA table_info(conversations)")}
    assert "conversation_tags" not in tables
    assert "title_by" not in columns


def test_of_two_starters_one_migrates(tmp_path: Path) -> None:
    old_home(tmp_path, "add_builtin_presets")
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = []
    for starter in starters:
        assert starter.stdin
        starter.stdin.write("\n")
        starter.stdin.flush()
    for starter in starters:
        assert starter.stdout
        said.append(starter.stdout.readline().split())
    for starter in starters:
        starter.communicate("\n")
    [owner] = [starter for starter, words in zip(starters, said, strict=True) if words == ["open"]]
    assert ["refused", str(owner.pid)] in said
    assert len(list((tmp_path / "backups").iterdir())) == 1


def kill_at_statements(tmp_path: Path, name: str, step: int) -> int:
    """Kill a start at every so many of its statements, the next start succeeding each time; how many kills."""
    result = subprocess.run(
        [sys.executable, "-c", KILL_AT_STATEMENTS, old_home(tmp_path / "old", name), tmp_path / "home", str(step)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", RELEASED[:-1])
def test_killed_at_any_statement_of_a_migration_the_next_start_succeeds(tmp_path: Path, name: str) -> None:
    kills = kill_at_statements(tmp_path, name, step=1)
    print(f"{kills} kills while migrating from {name}")
    assert kills > 50


def test_killed_within_the_migrations_the_next_start_succeeds(tmp_path: Path) -> None:
    assert kill_at_statements(tmp_path, RELEASED[0], step=11) > 10
