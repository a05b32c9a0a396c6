"""kill -9 at random moments of four running chats, one round after another in the same data folder."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.chats import Chats
from app.fake import ScriptedBackend
from app.models import Models
from app.saver import SAVE_SECONDS, SAVE_TOKENS
from app.store import Store
from app.store.tokens import unpack_ids, unpack_logprobs

# A parent that has imported everything forks one child a round, which chats until it is killed. A line of the log is
# written, with one system call, after what it tells of was acknowledged.
NURSERY = """
import json, os, sys, threading, time
from pathlib import Path
from app.chats import Chats
from app.fake import ScriptedBackend
from app.models import Models
from app.store import Store
from app.store.tokens import unpack_ids

home, log = Path(sys.argv[1]), int(sys.argv[2])

def tell(**words):
    os.write(log, (json.dumps(words | {"at": time.monotonic()}) + "\\n").encode())

def chat(chats, number):
    conversation = None
    for turn in range(1_000):
        sent = chats.send(conversation, f"question {number} {turn}", settings={"max_tokens": 100_000})
        conversation = sent.conversation_id
        tell(kind="sent", id=sent.user_message_id, answer=sent.message_id, text=f"question {number} {turn}")
        live, seen = chats.live(sent.message_id), 0
        while not live.done:
            live.wait(seen, 10)
            *_, seen = live.shown_from(seen)
            tell(kind="grown", answer=sent.message_id, tokens=len(live.token_ids))
        tell(kind="done", answer=sent.message_id, tokens=len(live.token_ids))

def serve():
    # The first answers of a round are short, so that some end before the kill.
    backend = ScriptedBackend(
        lambda messages: [f"{number} " for number in range(40 if len(messages) % 4 == 1 else 20_000)], pace=0.004
    )
    models = Models(home, sys.executable, loader=lambda path, on_progress: backend)
    chats = Chats(Store.open(home), models)
    tell(kind="ready")
    for number in range(4):
        threading.Thread(target=chat, args=(chats, number)).start()
    while True:
        time.sleep(60)

for line in sys.stdin:
    child = os.fork()
    if not child:
        serve()
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""
LIMIT_SECONDS = 60
# The thread that writes the log and the disk may be late on a busy machine.
LATE_SECONDS = 1.0


@dataclass
class Round:
    """What one child has acknowledged before it was killed."""

    killed_at: float = 0.0
    questions: dict[str, str] = field(default_factory=dict)
    # (when, how many tokens) an answer was seen to have
    answers: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)


@dataclass
class Tally:
    """What became of all rounds. behind: the most tokens that were seen of an answer and are not saved."""

    messages: int = 0
    interrupted: int = 0
    behind: int = 0


@contextmanager
def nursery(home: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(home), str(writing)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[writing],
    )
    os.close(writing)
    try:
        yield process, reading
    finally:
        process.communicate(timeout=LIMIT_SECONDS)
        os.close(reading)


def one_round(process: subprocess.Popen[str], log: int, seconds: float) -> Round:
    """Have a child chat for so many seconds, kill it, and read what it has acknowledged."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("go\n")
    process.stdin.flush()
    child = int(process.stdout.readline())
    text = b""
    deadline = time.monotonic() + LIMIT_SECONDS
    while b'"ready"' not in text:
        assert time.monotonic() < deadline
        text += _available(log)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text += _available(log, wait=0.01)
    result = Round(killed_at=time.monotonic())
    os.kill(child, signal.SIGKILL)
    assert process.stdout.readline() == "gone\n"
    while more := _available(log, wait=0):
        text += more
    for line in text.decode().splitlines():
        words = json.loads(line)
        if words["kind"] == "sent":
            result.questions[words["id"]] = words["text"]
            result.answers[words["answer"]] = []
        elif words["kind"] in ("grown", "done"):
            result.answers[words["answer"]].append((words["at"], words["tokens"]))
            if words["kind"] == "done":
                result.done.add(words["answer"])
    return result


def _available(log: int, wait: float = 0.1) -> bytes:
    return os.read(log, 1 << 20) if select.select([log], [], [], wait)[0] else b""


def check(home: Path, result: Round, tally: Tally) -> None:
    """Everything acknowledged in a round is there, and each interrupted answer up to the last second or 32 tokens."""
    with closing(sqlite3.connect(f"file:{home}/fireside.db?mode=ro", uri=True)) as stranger:
        assert stranger.execute("PRAGMA quick_check").fetchone() == ("ok",)
    with Store.open(home) as store:
        assert store.notices == []
        for id, text in result.questions.items():
            assert store.messages.get(id).content == text
        for id, seen in result.answers.items():
            answer = store.messages.get(id)
            saved = unpack_ids(answer.token_ids)
            assert answer.content == "".join(f"{number} " for number in range(len(saved)))
            assert len(unpack_logprobs(answer.token_logprobs)) == len(saved)
            if id in result.done:
                assert (answer.status, len(saved)) == ("complete", seen[-1][1])
                continue
            # The end may have been saved, and the kill come before it was told.
            assert answer.status in ("interrupted", "complete")
            last = max((tokens for _, tokens in seen), default=0)
            old = [tokens for at, tokens in seen if at <= result.killed_at - SAVE_SECONDS - LATE_SECONDS]
            assert len(saved) >= min(max(old, default=0), last)
            recent = last - max((tokens for at, tokens in seen if at <= result.killed_at - LATE_SECONDS), default=0)
            assert last - len(saved) <= SAVE_TOKENS + recent
            tally.interrupted += answer.status == "interrupted"
            tally.behind = max(tally.behind, last - len(saved))
        tally.messages += len(result.questions) + len(result.answers)
        go_on(store, [id for id in result.answers if id not in result.done])


def go_on(store: Store, ids: list[str]) -> None:
    """Each interrupted answer is continued from the token after its last."""
    backend = ScriptedBackend([f"{number} " for number in range(20_000)], pace=0.0005)
    models = Models(store.home, sys.executable, loader=lambda path, on_progress: backend)
    chats = Chats(store, models)
    for id in ids:
        before = store.messages.get(id)
        if before.status != "interrupted" or not before.content:
            continue
        live = chats.live(chats.continue_answer(id).message_id)
        assert live
        assert live.wait(len(before.content), LIMIT_SECONDS)
        chats.stop(before.conversation_id)
        while not live.done:
            live.wait(1 << 30, LIMIT_SECONDS)
        after = store.messages.get(id)
        count = len(unpack_ids(after.token_ids))
        assert count > len(unpack_ids(before.token_ids))
        assert after.content == "".join(f"{number} " for number in range(count))
    chats.close()
    models.close()


def kill(home: Path, times: int, longest: float, seed: int) -> Tally:
    """Kill so many children, checking after each, and once more at the end what all of them were told."""
    chance, tally, told = random.Random(seed), Tally(), {}
    with nursery(home) as (process, log):
        for _ in range(times):
            result = one_round(process, log, chance.uniform(0.0, longest))
            check(home, result, tally)
            told |= result.questions
    with Store.open(home) as store:
        assert {id: store.messages.get(id).content for id in told} == told
    return tally


def test_ten_kills_lose_nothing(tmp_path: Path) -> None:
    assert kill(tmp_path, 10, longest=1.0, seed=1).interrupted


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    tally = kill(tmp_path, 200, longest=2.5, seed=2)
    print(tally)
    assert tally.interrupted
