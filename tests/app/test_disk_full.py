"""A disk that is full or fails: refused in one line, read from all the same, and written again once it can be."""

from __future__ import annotations

import logging
import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

from app.fake import ScriptedBackend
from app.store import BackupFailed, DiskRefused, Store, StoreError
from tests.app.serving import LIMIT_SECONDS, chatting, finish, run_of, texts
from tests.small_file_system import fill, free, small_file_system
from tests.turnstile import crowded

# More than the pages that there are have room for.
LONG = "A long question. " * 600 + "?"


class Disk:
    """Where a data folder is, with a way to leave it no room and to give it back."""

    def __init__(self, home: Path, words: str) -> None:
        self.home = home
        self.words = words

    def fill(self, store: Store) -> None:
        raise NotImplementedError

    def free(self, store: Store) -> None:
        raise NotImplementedError


class SmallDisk(Disk):
    """A file system in memory."""

    def fill(self, store: Store | None = None) -> None:
        fill(self.home.parent)

    def free(self, store: Store | None = None) -> None:
        free(self.home.parent)


class FewPages(Disk):
    """SQLite's own limit: no page more than there are."""

    def fill(self, store: Store) -> None:
        writer = store._database._writer.conn
        [(pages,)] = writer.execute("PRAGMA page_count")
        writer.execute(f"PRAGMA max_page_count = {pages}")

    def free(self, store: Store) -> None:
        with suppress(sqlite3.ProgrammingError):  # closed, and the limit has ended with it
            store._database._writer.conn.execute("PRAGMA max_page_count = 1000000")


class FailingWrites(Disk):
    """The operating system's limit on the size of a file, which SQLite takes for a failing disk."""

    def fill(self, store: Store) -> None:
        size = (self.home / "fireside.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def free(self, store: Store) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_file_system(tmp_path / "small", megabytes=8) as folder:
        yield SmallDisk(folder / "home", "is full")


@pytest.fixture(params=["small disk", "few pages", "failing writes"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Disk]:
    if request.param == "small disk":
        yield request.getfixturevalue("small_disk")
    elif request.param == "few pages":
        yield FewPages(tmp_path / "home", "is full")
    else:
        yield FailingWrites(tmp_path / "home", "reports an error")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = monotonic() + LIMIT_SECONDS
    while not holds():
        assert monotonic() < deadline
        sleep(0.02)


def test_a_message_is_refused_and_reading_goes_on(disk: Disk) -> None:
    with Store.open(disk.home) as store, chatting(store, ScriptedBackend(["Fine."])) as chats:
        sent = chats.send(None, "How are you?")
        finish(chats, store, sent)
        question = store.messages.path(sent.conversation_id)[0]
        disk.fill(store)
        for attempt in (
            lambda: chats.send(sent.conversation_id, LONG),
            lambda: chats.send(None, LONG),
            lambda: chats.edit(question.id, LONG),
        ):
            with pytest.raises(DiskRefused) as refused:
                attempt()
            assert disk.words in str(refused.value)
            assert "\n" not in str(refused.value)
        # Nothing of what was refused is there, all that was before is, and can be found and exported.
        assert [one.id for one in store.conversations.list()] == [sent.conversation_id]
        assert texts(store, sent.conversation_id) == ["How are you?", "Fine."]
        assert [hit.message_id for hit in store.messages.search("how")] == [question.id]
        disk.free(store)
        again = chats.send(sent.conversation_id, LONG)
        finish(chats, store, again)
        assert texts(store, sent.conversation_id) == ["How are you?", "Fine.", LONG, "Fine."]
    with Store.open(disk.home) as store:
        assert store.notices == []
        assert len(texts(store, sent.conversation_id)) == 4


def test_an_answer_that_outgrows_the_disk_is_saved_once_there_is_room(disk: Disk) -> None:
    words = [f"word{number} " for number in range(3_000)]
    with Store.open(disk.home) as store, chatting(store, ScriptedBackend(words, pace=0.0003)) as chats:
        sent = chats.send(None, "Go on", settings={"max_tokens": len(words)})
        live = run_of(chats, sent)
        wait_until(lambda: len(store.messages.get(sent.message_id).content) > 0)
        disk.fill(store)
        full = monotonic()
        wait_until(lambda: bool(live.error))
        told = monotonic() - full
        assert disk.words in str(live.error)
        # It goes on all the same.
        assert live.wait(len(live.shown_from(0)[1]), LIMIT_SECONDS)
        disk.free(store)
        freed = monotonic()
        wait_until(lambda: live.error is None)
        saved = monotonic() - freed
        print(f"told after {told:.2f} s, saved {saved:.2f} s after there was room")
        assert told < 2 * crowded()
        assert saved < 5 * crowded()
        message = finish(chats, store, sent)
        assert (message.status, live.error) == ("complete", None)
        assert message.content == "".join(words)


def test_an_answer_is_ended_by_hand_on_a_full_disk_and_saved_later(disk: Disk) -> None:
    with Store.open(disk.home) as store, chatting(store, ScriptedBackend(["word "] * 50_000, pace=0.0001)) as chats:
        sent = chats.send(None, "Go on", settings={"max_tokens": 50_000})
        live = run_of(chats, sent)
        disk.fill(store)
        wait_until(lambda: bool(live.error))
        chats.stop(sent.conversation_id)
        sleep(0.2)
        assert not live.done
        shown = live.shown_from(0)[1]
        disk.free(store)
        message = finish(chats, store, sent)
        assert (message.status, message.content) == ("stopped", shown)


def test_a_full_disk_does_not_keep_fireside_from_ending(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    with Store.open(disk.home) as store:
        with chatting(store, ScriptedBackend(["word "] * 50_000, pace=0.0001)) as chats:
            sent = chats.send(None, "Go on", settings={"max_tokens": 50_000})
            wait_until(lambda: len(store.messages.get(sent.message_id).content) > 100)
            disk.fill(store)
            wait_until(lambda: bool(run_of(chats, sent).error))
            with caplog.at_level(logging.ERROR):
                started = monotonic()
                chats.close(timeout=0.5)
        store.close()
        assert monotonic() - started < 5
        assert f"answer {sent.message_id} is not saved" in caplog.text
    disk.free(store)
    with Store.open(disk.home) as store:
        assert store.notices == []
        question, answer = store.messages.path(sent.conversation_id)
        assert (question.content, answer.status) == ("Go on", "interrupted")
        assert len(answer.content) > 100


def test_a_full_disk_at_the_start_is_one_line_and_harms_nothing(small_disk: SmallDisk) -> None:
    with Store.open(small_disk.home) as store:
        id = store.conversations.create(title="Kept").id
        store.messages.add(id, parent_id=None, role="user", content="Good morning")
    small_disk.fill()
    with pytest.raises(StoreError, match="small") as refused:
        Store.open(small_disk.home)
    assert "\n" not in str(refused.value)
    small_disk.free()
    with Store.open(small_disk.home) as store:
        assert store.notices == []
        assert texts(store, id) == ["Good morning"]


def test_a_read_only_disk_is_one_line_and_harms_nothing(small_disk: SmallDisk) -> None:
    with Store.open(small_disk.home) as store:
        id = store.conversations.create(title="Kept").id
    before = (small_disk.home / "fireside.db").read_bytes()
    remount = ["mount", "-o", "remount,ro", str(small_disk.home.parent)]
    subprocess.run(remount, check=True)
    with pytest.raises(StoreError, match="Read-only file system") as refused:
        Store.open(small_disk.home)
    assert "\n" not in str(refused.value)
    subprocess.run([*remount[:2], "remount,rw", remount[3]], check=True)
    assert (small_disk.home / "fireside.db").read_bytes() == before
    with Store.open(small_disk.home) as store:
        assert store.conversations.get(id).title == "Kept"


def test_a_read_only_file_is_one_line_and_harms_nothing(small_disk: SmallDisk) -> None:
    with Store.open(small_disk.home) as store:
        id = store.conversations.create(title="Kept").id
    file = str(small_disk.home / "fireside.db")
    subprocess.run(["mount", "--bind", file, file], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", file], check=True)
        with pytest.raises(DiskRefused, match="is read-only: make it writable") as refused:
            Store.open(small_disk.home)
        assert "\n" not in str(refused.value)
    finally:
        subprocess.run(["umount", file], check=True)
    with Store.open(small_disk.home) as store:
        assert store.notices == []
        assert store.conversations.get(id).title == "Kept"


def test_no_backup_is_begun_without_room_for_it(small_disk: SmallDisk) -> None:
    with Store.open(small_disk.home) as store:
        store.backups.make()
        [first] = store.backups.list()
        small_disk.fill()
        with pytest.raises(BackupFailed, match=r"0\.0 MB free"):
            store.backups.make()
        assert list(store.backups.folder.iterdir()) == [first]
        small_disk.free()
        store.backups.make()
        assert len(store.backups.list()) == 2


def test_erasing_for_good_waits_for_room(small_disk: SmallDisk) -> None:
    with Store.open(small_disk.home) as store:
        for number in range(8):
            conversation = store.conversations.create(title=f"Chat {number}")
            store.messages.add(conversation.id, parent_id=None, role="user", content=LONG)
        store.conversations.delete(conversation.id)
        small_disk.fill()
        with pytest.raises(DiskRefused, match="is full"):
            store.trash.empty()
        assert len(store.conversations.list()) == 7
        small_disk.free()
        store.trash.empty()
        assert store.conversations.list(deleted=True) == []
