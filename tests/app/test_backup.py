"""Backups: whole, checked, kept by sevens, and the way back; through the store and as commands."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.store import BackupFailed, DatabaseDamaged, DatabaseNewer, HomeLocked, Store
from app.store.backup import KEPT, TIME_FORMAT, Backups, DailyBackup
from app.store.check import count_messages, examine
from tests.app import schemas
from tests.app.command import assert_refused, fireside
from tests.app.serving import LIMIT_SECONDS


def say(store: Store, text: str) -> str:
    """A message in a conversation of its own; the conversation's id."""
    conversation = store.conversations.create(title=text)
    store.messages.add(conversation.id, parent_id=None, role="user", content=text)
    return conversation.id


def titles(home: Path) -> set[str]:
    with Store.open(home) as store:
        return {conversation.title for conversation in store.conversations.list()}


def spoil(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2 :] = os.urandom(len(data) - len(data) // 2)
    file.write_bytes(data)


def named(age: timedelta) -> str:
    return f"fireside-{datetime.now(UTC) - age:{TIME_FORMAT}}.db"


def test_a_backup_of_a_database_in_use_has_all_that_was_said(store: Store) -> None:
    for number in range(20):
        say(store, f"word {number}")
    backup = store.backups.make()
    say(store, "later")
    assert examine(backup, thorough=True)
    assert count_messages(backup) == 20
    # One file, which any tool opens, and which opening leaves as it is.
    with closing(sqlite3.connect(backup)) as stranger:
        assert stranger.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert list(store.backups.folder.iterdir()) == [backup]


def test_a_backup_made_while_much_is_written_is_of_one_moment(store: Store) -> None:
    ended = threading.Event()

    def talk() -> None:
        number = 0
        while not ended.is_set():
            say(store, f"word {number} " * 100)
            number += 1

    writer = threading.Thread(target=talk)
    writer.start()
    try:
        counts = [count_messages(store.backups.make()) for _ in range(5)]
    finally:
        ended.set()
        writer.join()
    assert counts == sorted(counts)
    for backup in store.backups.list():
        assert examine(backup, thorough=True)
        with closing(sqlite3.connect(backup)) as stranger:
            empty = stranger.execute("SELECT count(*) FROM conversations WHERE current_message_id IS NULL").fetchone()
        # At most the one whose message was still to come.
        assert empty[0] <= 1


def test_what_a_kill_left_of_a_backup_goes_with_the_next(store: Store) -> None:
    store.backups.folder.mkdir()
    (store.backups.folder / f"{named(timedelta(0))}.part").write_text("half")
    backup = store.backups.make()
    assert list(store.backups.folder.iterdir()) == [backup]


def test_of_more_than_seven_the_newest_stay(store: Store) -> None:
    made = []
    for number in range(KEPT + 2):
        say(store, f"word {number}")
        made.append(store.backups.make())
    assert store.backups.list() == made[: -KEPT - 1 : -1]
    assert [count_messages(backup) for backup in store.backups.list()] == list(range(KEPT + 2, 2, -1))


@pytest.mark.parametrize(
    ("ages", "due"),
    [
        ([], True),
        ([timedelta(hours=23)], False),
        ([timedelta(hours=25)], True),
        ([timedelta(days=3), timedelta(hours=1)], False),
        ([-timedelta(days=2)], True),  # made before the clock was set back
    ],
)
def test_one_is_due_a_day_after_the_newest(store: Store, ages: list[timedelta], due: bool) -> None:
    store.backups.folder.mkdir()
    for age in ages:
        (store.backups.folder / named(age)).touch()
    (store.backups.folder / "fireside-mine.db").touch()
    assert store.backups.is_due() is due


def test_the_daily_backup_is_made_when_it_is_due_and_not_again(store: Store) -> None:
    said: list[str] = []
    for expected in (1, 1):
        daily = DailyBackup(store.backups, said.append)
        daily.start()
        deadline = time.monotonic() + LIMIT_SECONDS
        while len(store.backups.list()) < expected:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.2)
        daily.stop()
        assert not daily.is_alive()
        assert len(store.backups.list()) == expected
    assert said == []


def test_a_daily_backup_that_cannot_be_made_is_told(store: Store) -> None:
    store.backups.folder.write_text("in the way")
    daily = DailyBackup(store.backups, store.notices.append)
    daily.start()
    deadline = time.monotonic() + LIMIT_SECONDS
    while not store.notices:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    daily.stop()
    [notice] = store.notices
    assert notice.startswith("Today's backup could not be made: ")
    assert "\n" not in notice
    say(store, "All the same")


def test_a_backup_of_a_damaged_database_does_not_count(store: Store) -> None:
    for number in range(50):
        say(store, f"word {number} " * 50)
    good = store.backups.make()
    home = store.home
    store.close()
    spoil(home / "fireside.db")
    with pytest.raises(DatabaseDamaged):
        Backups(home / "fireside.db").make()
    assert list((home / "backups").iterdir()) == [good]


def test_what_was_there_before_a_restore_is_kept(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        say(store, "Old")
        backup = store.backups.make()
        say(store, "New")
    before = (tmp_path / "fireside.db").read_bytes()
    count, kept = Store.restore(tmp_path, backup)
    assert count == 1
    assert kept
    assert (kept / "fireside.db").read_bytes() == before
    assert titles(tmp_path) == {"Old"}
    # And there again.
    Store.restore(tmp_path, kept / "fireside.db")
    assert titles(tmp_path) == {"Old", "New"}


def test_a_restore_after_a_kill_leaves_no_log_of_the_old_database(tmp_path: Path) -> None:
    with Store.open(tmp_path / "running") as store:
        say(store, "Old")
        backup = store.backups.make()
        say(store, "New")
        shutil.copytree(store.home, tmp_path / "killed")
    home = tmp_path / "killed"
    log = (home / "fireside.db-wal").read_bytes()
    _, kept = Store.restore(home, backup)
    assert kept
    assert (kept / "fireside.db-wal").read_bytes() == log
    with Store.open(home) as store:
        assert store.notices == []
        assert [conversation.title for conversation in store.conversations.list()] == ["Old"]
    # What was kept is whole, its log included.
    Store.restore(home, kept / "fireside.db")
    assert titles(home) == {"Old", "New"}
    assert (kept / "fireside.db-wal").read_bytes() == log


def test_a_restore_into_an_empty_folder(tmp_path: Path) -> None:
    with Store.open(tmp_path / "one") as store:
        say(store, "Moved")
        backup = store.backups.make()
    assert Store.restore(tmp_path / "two", backup) == (1, None)
    assert titles(tmp_path / "two") == {"Moved"}


def test_a_backup_of_an_older_version_is_migrated_at_the_next_start(tmp_path: Path) -> None:
    schemas.load("add_builtin_presets", tmp_path / "old.db")
    assert Store.restore(tmp_path / "home", tmp_path / "old.db") == (2, None)
    assert titles(tmp_path / "home") == {"Oaks"}


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "stranger", "damaged", "newer"])
def test_what_is_no_backup_is_refused_and_changes_nothing(tmp_path: Path, kind: str) -> None:
    home, file = tmp_path / "home", tmp_path / "backup.db"
    with Store.open(home) as store:
        for number in range(50):
            say(store, f"word {number} " * 50)
        shutil.copy2(store.backups.make(), file)
    if kind == "damaged":
        spoil(file)
    elif kind == "newer":
        with closing(sqlite3.connect(file)) as future:
            future.execute(
                "INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('fireside', 'from_the_future')"
            )
            future.commit()
    else:
        file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind in ("text", "empty"):
        file.write_text("Dear diary" if kind == "text" else "")
    elif kind == "stranger":
        with closing(sqlite3.connect(file)) as stranger:
            stranger.execute("CREATE TABLE messages (id)")
    before = (home / "fireside.db").read_bytes()
    with pytest.raises(DatabaseNewer if kind == "newer" else BackupFailed) as refused:
        Store.restore(home, file)
    assert "\n" not in str(refused.value)
    assert str(file) in str(refused.value)
    assert (home / "fireside.db").read_bytes() == before
    assert not (home / "set-aside").exists()
    with Store.open(home) as store:
        assert store.notices == []
        assert len(store.conversations.list()) == 50


def test_nothing_is_restored_under_a_running_server(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        say(store, "Running")
        backup = store.backups.make()
        with pytest.raises(HomeLocked, match=str(os.getpid())):
            Store.restore(tmp_path, backup)
        say(store, "Still running")
    assert titles(tmp_path) == {"Running", "Still running"}


def test_a_new_database_beside_old_backups_says_so(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        say(store, "Gone")
        backup = store.backups.make()
    (tmp_path / "fireside.db").unlink()
    with Store.open(tmp_path) as store:
        [notice] = store.notices
        assert f"fireside restore {backup}" in notice
    Store.restore(tmp_path, backup)
    assert titles(tmp_path) == {"Gone"}


def test_the_commands_go_there_and_back_while_fireside_runs(store: Store, tmp_path: Path) -> None:
    say(store, "Good morning")
    file = tmp_path / "mine.db"
    backup = fireside("backup", file, "--home", store.home)
    assert (backup.returncode, backup.stdout) == (0, f"{file}: checked, 1 messages\n"), backup.stderr
    assert_refused(fireside("backup", file, "--home", store.home), 1, "is there already")
    say(store, "Good evening")
    own = fireside("backup", "--home", store.home)
    [made] = store.backups.list()
    assert own.stdout == f"{made}: checked, 2 messages\n"
    check = fireside("check", "--home", store.home)
    assert check.returncode == 0
    assert [line.split()[0] for line in check.stdout.splitlines()] == ["ok", "ok"]
    assert_refused(fireside("restore", file, "--home", store.home), 1, "in use", str(os.getpid()))
    home = store.home
    store.close()
    restored = fireside("restore", file, "--home", home)
    assert (restored.returncode, restored.stderr) == (0, "")
    assert "1 messages restored" in restored.stdout
    assert titles(home) == {"Good morning"}


def test_the_check_names_what_is_damaged(store: Store) -> None:
    for number in range(50):
        say(store, f"word {number} " * 50)
    spoil(store.backups.make())
    check = fireside("check", "--home", store.home)
    assert check.returncode == 1
    sound, damaged = check.stdout.splitlines()
    assert sound.startswith("ok ")
    assert damaged.startswith("problem ")
    assert str(store.backups.list()[0]) in damaged


def test_the_commands_say_what_is_missing(tmp_path: Path) -> None:
    assert_refused(fireside("backup", "--home", tmp_path), 1, "no database", "--home")
    Store.open(tmp_path / "home").close()
    nowhere = tmp_path / "nowhere" / "mine.db"
    assert_refused(fireside("backup", nowhere, "--home", tmp_path / "home"), 1, str(nowhere))
    assert_refused(fireside("restore", tmp_path / "none.db", "--home", tmp_path), 1, "none.db", "not there")
    assert "no database" in fireside("check", "--home", tmp_path).stdout
    assert_refused(fireside("restore"), 2, "FILE")
