"""Power failures: whatever the disk kept of the writes that were not flushed, what was acknowledged is there."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.store import Store
from tests.app.recorder import Op, Recorder, crash_state

NAMES = ("fireside.db", "fireside.db-wal")


@dataclass(frozen=True)
class Acknowledged:
    """After so many recorded calls, the message had at least this content."""

    calls: int
    message_id: str
    content: str


@dataclass(frozen=True)
class Recording:
    before: dict[str, bytes]
    ops: list[Op]
    acknowledged: list[Acknowledged]
    closing: int


def record(home: Path, synchronous: str) -> Recording:
    """Four conversations with growing answers, and more than one round of the write-ahead log."""
    Store.open(home).close()
    before = {name: (home / name).read_bytes() for name in NAMES if (home / name).exists()}
    recorder = Recorder(home, NAMES)
    acknowledged = []
    with recorder.recording():
        store = Store.open(home)
        # The log's place in its folder is flushed before the store counts as open.
        before |= {name: (home / name).read_bytes() for name in NAMES}
        recorder.ops.clear()

        def acknowledge(message_id: str, content: str) -> None:
            acknowledged.append(Acknowledged(len(recorder.ops), message_id, content))

        writer = store._database._writer.conn
        writer.execute(f"PRAGMA synchronous = {synchronous}")
        writer.execute("PRAGMA wal_autocheckpoint = 40")
        conversations = [store.conversations.create(title=f"Chat {number}") for number in range(4)]
        for turn in range(6):
            for conversation in conversations:
                leaf = store.conversations.get(conversation.id).current_message_id
                question = store.messages.add(conversation.id, parent_id=leaf, role="user", content=f"Question {turn}")
                acknowledge(question.id, question.content)
                answer = store.messages.add(
                    conversation.id, parent_id=question.id, role="assistant", status="streaming"
                )
                text = ""
                for piece in range(3):
                    text += f"piece {piece} " * 40
                    store.messages.update(answer.id, content=text, token_ids=b"abcd" * len(text))
                    acknowledge(answer.id, text)
        end = len(recorder.ops)
        store.close()
    return Recording(before, recorder.ops, acknowledged, end)


def survives(recording: Recording, calls: int, chance: random.Random, home: Path) -> bool:
    """Whether one of the states after so many calls opens, is sound and has all that was acknowledged before."""
    home.mkdir()
    for name, data in crash_state(recording.before, recording.ops[:calls], chance).items():
        (home / name).write_bytes(data)
    if calls <= recording.closing:
        (home / "fireside.pid").write_text("1 wal")
    with Store.open(home) as store:
        if any("damaged" in notice for notice in store.notices):
            return False
        with store._database.read() as db:
            content = {row["id"]: row["content"] for row in db.query("SELECT id, content FROM messages")}
    with closing(sqlite3.connect(home / "fireside.db")) as stranger:
        if stranger.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            return False
    return all(
        content.get(each.message_id, "").startswith(each.content)
        for each in recording.acknowledged
        if each.calls <= calls
    )


def lost_states(tmp_path: Path, synchronous: str, states: int, seed: int) -> Iterator[int]:
    """Numbers of the states in which something is lost."""
    chance = random.Random(seed)
    recording = record(tmp_path / "recorded", synchronous)
    assert any(op.kind == "write" and op.name == "fireside.db" for op in recording.ops[: recording.closing])
    for number in range(states):
        home = tmp_path / f"state-{number}"
        if not survives(recording, chance.randrange(len(recording.ops) + 1), chance, home):
            yield number
        shutil.rmtree(home)


def test_what_was_acknowledged_survives_a_power_failure(tmp_path: Path) -> None:
    assert list(lost_states(tmp_path, "FULL", states=60, seed=1)) == []


@pytest.mark.slow
def test_what_was_acknowledged_survives_2000_power_failures(tmp_path: Path) -> None:
    assert list(lost_states(tmp_path, "FULL", states=2_000, seed=2)) == []


def test_without_flushing_the_same_test_fails(tmp_path: Path) -> None:
    assert next(lost_states(tmp_path, "OFF", states=60, seed=3), None) is not None
