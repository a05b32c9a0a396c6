"""kill -9 in mid-answer: what was acknowledged is there, the partial answer too."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from app.store import Store
from app.store.tokens import unpack_ids, unpack_logprobs

SERVE = """
import sys
from pathlib import Path
from app.chats import Chats
from app.fake import ScriptedBackend
from app.models import Models
from app.store import Store

home = Path(sys.argv[1])
backend = ScriptedBackend([f"{number} " for number in range(100_000)], pace=0.002)
models = Models(home, sys.executable, loader=lambda path, on_progress: backend)
chats = Chats(Store.open(home), models)
sent = [chats.send(None, f"question {number}", settings={"max_tokens": 100_000}) for number in range(3)]
for one in sent:
    live = chats.live(one.message_id)
    while len(live.shown_from(0)[1]) < int(sys.argv[2]):
        live.wait(len(live.shown_from(0)[1]), 10)
for one in sent:
    print(one.message_id, len(chats.live(one.message_id).shown_from(0)[1]), flush=True)
sys.stdin.read()
"""
LONGEST_UNSAVED = 1_000


@pytest.mark.parametrize("characters", [1, 2_000])
def test_an_answer_survives_kill_9(tmp_path: Path, characters: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path), str(characters)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    seen = dict(process.stdout.readline().split() for _ in range(3))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    with Store.open(tmp_path) as store:
        assert store.recovered == 3
        conversations = store.conversations.list()
        assert len(conversations) == 3
        for conversation in conversations:
            question, answer = store.messages.path(conversation.id)
            assert question.content == conversation.title
            assert (question.status, answer.status) == ("complete", "interrupted")
            answer = store.messages.get(answer.id)
            # At most a second, at 2 ms and at most five characters a token, or 32 tokens are lost.
            assert len(answer.content) >= int(seen[answer.id]) - LONGEST_UNSAVED
            ids = unpack_ids(answer.token_ids)
            assert answer.content == "".join(f"{number} " for number in range(len(ids)))
            assert len(unpack_logprobs(answer.token_logprobs)) == len(ids)
    with Store.open(tmp_path) as store:
        assert store.recovered == 0
    with closing(sqlite3.connect(tmp_path / "fireside.db")) as stranger:
        assert stranger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
