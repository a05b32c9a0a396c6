"""Files that are hostile or wrong in part: refused, or without that part, and nothing does harm."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.store import Store
from app.transfer.importing import import_file
from tests.app.chat_files import chatgpt, exported, grow, write
from tests.app.command import ROOT


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return path


CHAT = json.dumps([chatgpt()]).encode()
OWN = b'{"format": "fireside", "version": %d, "conversations": [%s], "presets": []}'
HOSTILE: dict[str, Any] = {
    "zip slip": lambda path: zipped(path, **{"..__..__conversations_dot_json": CHAT}),
    "zip bomb": lambda path: zipped(path, conversations_dot_json=b"[" + b" " * 200_000_000),
    "nested zip": lambda path: zipped(path, inner_dot_zip=zipped(path.with_suffix(".in"), a=b"x").read_bytes()),
    "cut zip": lambda path: path.write_bytes(zipped(path, conversations_dot_json=CHAT).read_bytes()[:-30]),
    "deep": lambda path: path.write_bytes(b"[" * 10_000 + b"]" * 10_000),
    "deep object": lambda path: path.write_bytes(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "deep in a chat": lambda path: path.write_bytes(CHAT.replace(b'"search()"', b"[" * 9000 + b"]" * 9000)),
    "long text": lambda path: path.write_bytes(b'[{"mapping": {"a": "' + b"x" * 100_000_000 + b'"}}]'),
    "no UTF-8": lambda path: path.write_bytes(CHAT.replace(b"tree", b"tr\xff\xfee")),
    "no chat": lambda path: path.write_bytes(b'{"name": "fireside", "list": [1, 2, 3]}'),
    "no JSON": lambda path: path.write_bytes(b"\x89PNG\r\n" + bytes(1000)),
    "half": lambda path: path.write_bytes(CHAT[: len(CHAT) // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "version of tomorrow": lambda path: path.write_bytes(
        OWN % (2, b'{"messages": [], "context_policy": "refuse", "current_message_id": null}')
    ),
    "two chats with an id": lambda path: path.write_bytes(
        json.dumps([chatgpt("c-9"), chatgpt("c-9", title="Another")]).encode()
    ),
    "two nodes with an id": lambda path: path.write_bytes(CHAT.replace(b'"a2": {', b'"a1": {')),
    "two messages with an id": lambda path: path.write_bytes(
        json.dumps([{"uuid": "c", "chat_messages": [{"uuid": "m", "sender": "human", "text": "x"}] * 2}]).encode()
    ),
    "two lines with an id": lambda path: write(
        path, {"type": "session", "id": "s"}, *[{"type": "message", "message": {"id": "m", "role": "user"}}] * 2
    ),
    "two of ours with an id": lambda path: path.write_bytes(
        OWN
        % (
            1,
            b'{"id": "c", "messages": [%s], "context_policy": "refuse", "current_message_id": null}'
            % b", ".join([b'{"id": "m"}'] * 2),
        )
    ),
    "many values": lambda path: path.write_bytes(b'[{"mapping": {"a": [' + b"[]," * 30_000_000 + b"1]}}]"),
}

IMPORT = r"""
import re, sqlite3, sys, time
from contextlib import closing
from pathlib import Path
from app.store import Store
from app.transfer.importing import import_file
from app.transfer.source import ImportRefused
def contents():
    with closing(sqlite3.connect(home / "fireside.db")) as db:
        return list(db.iterdump())
home = Path(sys.argv[1])
with Store.open(home) as store:
    chat = store.conversations.create(title="Here before")
    store.messages.add(chat.id, parent_id=None, role="user", content="Stay as you are.")
    before = contents()
    began = time.process_time()
    try:
        import_file(store, Path(sys.argv[2]))
    except ImportRefused as error:
        print(error)
    took = time.process_time() - began
    print(contents() == before, list(store.home.glob("imports/*")))
    status = Path("/proc/self/status").read_text()
    print(took, int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of the memory in /proc")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    HOSTILE[name](path)
    command = [sys.executable, "-c", IMPORT, tmp_path / "home", path]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert result.returncode == 0, result.stderr
    refusal, left, cost = result.stdout.splitlines()
    assert left == "True []"
    assert len(refusal) < 400
    seconds, megabytes = map(float, cost.split())
    print(f"{name}: {refusal} ({seconds:.2f} s, {megabytes:.0f} MB)")
    assert megabytes < 300
    # Of the processor: how much of it other tests leave is not what is tested.
    assert seconds < 5


def test_what_is_wrong_in_one_chat_skips_that_one(store: Store, tmp_path: Path) -> None:
    grow(store, [(1, "user", "Hi"), (1, "assistant", "Ho")])
    whole = json.loads(exported(store))
    good = whole["conversations"][0]

    def bad(**values: Any) -> dict[str, Any]:
        return json.loads(json.dumps(good)) | {"id": f"bad {next(numbers)}"} | values

    numbers = count()

    messages = good["messages"]
    whole["conversations"] = [
        bad(messages=messages[::-1]),
        bad(messages=[messages[0] | {"role": "king"}]),
        bad(messages=[messages[0] | {"created_at": "yesterday"}]),
        bad(messages=[messages[0] | {"token_ids": "AAA"}]),
        bad(messages=[messages[0] | {"content": None}]),
        bad(messages=["no message"]),
        bad(current_message_id="nobody"),
        bad(title=5),
        bad(created_at=5),
        bad(id=None),
        7,
        good,
    ]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    with Store.open(tmp_path / "there") as there:
        report = import_file(there, path)
        assert report.count("imported") == 1
        assert report.count("skipped") == len(whole["conversations"]) - 1, report.lines
        assert all(line.notes for line in report.lines if line.what == "skipped")
        assert len(there.conversations.ids()) == 1


def test_settings_and_presets_that_cannot_be_are_left_out(store: Store, tmp_path: Path) -> None:
    preset = store.presets.save("Wild", {"temperature": 1.5})
    grow(store, [(1, "user", "Hi")], preset_id=preset.id, settings={"top_k": 7})
    text = exported(store).decode().replace('{"temperature": 1.5}', '{"temperature": -9}').replace("top_k", "top_x")
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with Store.open(tmp_path / "there") as there:
        (line,) = import_file(there, path).lines
        assert line.what == "imported"
        assert len(line.notes) == 2
        conversation = there.conversations.get(line.conversation_id or "")
        assert (conversation.settings, conversation.preset_id) == ({}, None)
