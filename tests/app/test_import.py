"""Conversations from files: everything that was exported comes back, twice changes nothing, and nothing does harm."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.store import Store
from app.store.tokens import TokenLog
from app.transfer.chat import collect, new_conversation, new_message
from app.transfer.exporting import export
from app.transfer.formats import FORMATS
from app.transfer.importing import import_file
from app.transfer.source import ImportCancelled, ImportRefused
from tests.app.command import ROOT, assert_refused, fireside

EXPORTED_AT = re.compile(r'"exported_at": "[^"]*"')
texts = st.text(max_size=40)
# Under which earlier message each one stands, as a share of those there are, and what it is.
trees = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["user", "assistant"]), texts), max_size=12)


def exported(store: Store, kind: str = "json", **options: bool) -> bytes:
    return b"".join(export(store, store.conversations.ids(), FORMATS[kind], **options).pieces)


def write(path: Path, *values: Any) -> Path:
    """The values as the lines of a file, or one alone as all of it."""
    path.write_text("\n".join(json.dumps(value) for value in values), encoding="utf-8")
    return path


def grow(store: Store, tree: list[tuple[float, Any, str]], title: str = "Oaks", **columns: Any) -> str:
    chat = store.conversations.create(title=title, **columns)
    added: list[str | None] = [None]
    for share, role, content in tree:
        log = TokenLog()
        answer: dict[str, Any] = {}
        if role == "assistant":
            log.append(7, -0.5, [(7, -0.5), (9, -1.25)])
            answer = {"reasoning": content, "model": "tiny", "seed": 2**62, "settings": {"temperature": 0.5}}
            answer |= {"decode_ms": 12.5, "new_tokens": 1, "token_ids": log.ids(), "token_logprobs": log.logprobs()}
        parent = added[int(share * (len(added) - 1))]
        added.append(store.messages.add(chat.id, parent_id=parent, role=role, content=content, **answer).id)
    return chat.id


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=12)
@given(chats=st.lists(st.tuples(texts, texts, trees, st.lists(texts, max_size=3)), max_size=3))
def test_what_was_exported_comes_back(
    tmp_path_factory: pytest.TempPathFactory, chats: list[tuple[str, str, Any, list[str]]]
) -> None:
    folder = tmp_path_factory.mktemp("law")
    with Store.open(folder / "here") as here:
        own = here.presets.save("Wild", {"temperature": 1.5})
        for number, (title, system, tree, tags) in enumerate(chats):
            preset = own.id if number % 2 else here.presets.list()[0].id
            id = grow(here, tree, title, system_prompt=system, preset_id=preset, settings={"top_k": 7})
            here.conversations.tag(id, tags)
            if number % 2:
                here.conversations.pin(id)
        path = folder / "all.json"
        path.write_bytes(exported(here))
    with Store.open(folder / "there") as there:
        if not chats:
            with pytest.raises(ImportRefused):
                import_file(there, path)
            return
        report = import_file(there, path)
        assert [line.what for line in report.lines] == ["imported"] * len(chats), report.lines
        again = exported(there)
        assert EXPORTED_AT.sub("", again.decode()) == EXPORTED_AT.sub("", path.read_text("utf-8"))
        assert {line.what for line in import_file(there, path).lines} == {"already there"}
        assert EXPORTED_AT.sub("", exported(there).decode()) == EXPORTED_AT.sub("", again.decode())


def test_a_file_that_grew_adds_what_is_new(store: Store, tmp_path: Path) -> None:
    id = grow(store, [(1, "user", "What is an oak?"), (1, "assistant", "A tree.")])
    path = tmp_path / "oaks.json"
    path.write_bytes(exported(store))
    with Store.open(tmp_path / "there") as there:
        import_file(there, path)
        leaf = store.conversations.get(id).current_message_id
        later = store.messages.add(id, parent_id=leaf, role="user", content="And an elm?")
        path.write_bytes(exported(store))
        (line,) = import_file(there, path).lines
        assert (line.what, line.messages, line.conversation_id) == ("extended", 1, id)
        assert there.conversations.get(id).current_message_id == later.id
        assert there.conversations.ids("elm") == [id]
        there.conversations.delete(id)
        (line,) = import_file(there, path).lines
        assert (line.what, line.notes) == ("already there", ("it is in the trash",))


def test_what_belongs_to_somebody_else_stays(store: Store) -> None:
    id = grow(store, [(1, "user", "Mine")])
    (mine,) = collect(store, [id])
    theirs = replace(mine.conversation, owner="ann", title="Theirs")
    outcome = store.imports.add(theirs, [replace(mine.messages[0], content="Theirs")])
    assert outcome.new
    assert outcome.conversation_id != id
    assert list(collect(store, [id])) == [mine]
    again = store.imports.add(theirs, [replace(mine.messages[0], content="Theirs")])
    assert (again.conversation_id, again.added) == (outcome.conversation_id, 0)


def test_a_file_with_ids_of_somebody_else_changes_nothing_of_theirs(store: Store, tmp_path: Path) -> None:
    ann, bob = (store.of(store.users.add(name, "hash")[0].id) for name in ("Ann", "Bob"))
    id = grow(ann, [(1, "user", "Mine"), (1, "assistant", "Yours")])
    (mine,) = collect(ann, [id])
    whole = json.loads(exported(ann))
    # The same chat, and another with the same messages; both say that they are Ann's.
    (chat,) = whole["conversations"]
    for message in chat["messages"]:
        message["content"] = "Changed"
    whole["conversations"].append(chat | {"id": "other"})
    path = tmp_path / "x.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    assert import_file(bob, path).count("imported") == 2
    assert list(collect(ann, ann.conversations.ids())) == [mine]
    assert {message.content for id in bob.conversations.ids() for message in bob.messages.tree(id)} == {"Changed"}
    assert import_file(bob, path).count("already there") == 2


def test_ids_of_the_future_and_taken_ones_are_replaced(store: Store) -> None:
    far = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"
    conversation = new_conversation("test", far, title="Far")
    outcome = store.imports.add(
        conversation, [new_message(conversation, far, role="user", content="x", parent_id=None)]
    )
    assert outcome.conversation_id < far
    assert grow(store, []) < far


def test_what_was_staged_is_added_by_the_next_start(tmp_path: Path) -> None:
    def chats() -> list[Any]:
        return [new_conversation("test", str(number), title=f"Chat {number}") for number in range(120)]

    with Store.open(tmp_path) as store:
        with store.imports.staging() as staging:
            for chat in chats():
                staging.put(chat, [new_message(chat, "m", role="user", content="Hello")])
            next(staging.commit())
        with store.imports.staging() as staging:
            staging.put(new_conversation("test", "never"), [])
        assert 0 < len(store.conversations.ids()) < 120
    with Store.open(tmp_path) as store:
        titles = [store.conversations.get(id).title for id in store.conversations.ids()]
        assert sorted(titles) == sorted(chat.title for chat in chats())
        assert not list((tmp_path / "imports").iterdir())


def test_cancelled_is_nothing(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *[{"messages": [{"role": "user", "content": f"{n}"}]} for n in range(50)])
    with pytest.raises(ImportCancelled):
        import_file(store, path, cancelled=lambda: True)
    assert store.conversations.ids() == []


def contents(store: Store, id: str | None) -> list[tuple[str, str, str | None]]:
    """Role, content and content of the parent of each message."""
    assert id
    messages = {message.id: message for message in store.messages.tree(id)}
    return [
        (each.role, each.content, messages[each.parent_id].content if each.parent_id else None)
        for each in messages.values()
    ]


def node(id: str, parent: str | None, role: str, text: str, time: float | None, **message: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": [text]}
    given = {"id": id, "author": {"role": role}, "create_time": time, "content": content} | message
    return {"id": id, "parent": parent, "message": given}


def chatgpt(id: str = "c-1", **values: Any) -> dict[str, Any]:
    mapping = {
        "root": {"id": "root", "parent": None, "message": None},
        "hidden": node("hidden", "root", "system", "", None, metadata={"is_visually_hidden_from_conversation": True}),
        "q1": node("q1", "hidden", "user", "What is an oak?", 10.0, metadata={}),
        "think": node("think", "q1", "assistant", "", 11.0, content={
            "content_type": "thoughts", "thoughts": [{"summary": "Trees", "content": "It is a tree."}]}),
        "a1": node("a1", "think", "assistant", "A tree.", 12.0, metadata={"model_slug": "gpt-5"}),
        "a2": node("a2", "q1", "assistant", "A bird.", 11.5),
        "picture": node("picture", "a1", "user", "", 13.0, content={
            "content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}, "And this?"]}),
        "tool": node("tool", "picture", "assistant", "search()", 14.0, recipient="browser"),
        "new": node("new", "tool", "assistant", "", 15.0, content={"content_type": "brand_new", "value": 1}),
        "second root": node("second root", None, "user", "Another start", 20.0),
        "loop a": node("loop a", "loop b", "user", "Round", 30.0),
        "loop b": node("loop b", "loop a", "assistant", "and round", 31.0),
    }  # fmt: skip
    return {"id": id, "title": None, "create_time": 10.0, "update_time": 20.0, "mapping": mapping,
            "current_node": "a1", "model_slug": "auto"} | values  # fmt: skip


TREE = [
    ("user", "What is an oak?", None),
    ("assistant", "A bird.", "What is an oak?"),
    ("assistant", "A tree.", "What is an oak?"),
    ("user", "[image_asset_pointer]\n\nAnd this?", "A tree."),
    ("assistant", "[brand_new]", "[image_asset_pointer]\n\nAnd this?"),
    ("user", "Another start", None),
    ("user", "Round", None),
    ("assistant", "and round", "Round"),
]


def test_chatgpt_tree(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("user.json", "{}")
        archive.writestr("conversations-000.json", json.dumps([chatgpt(), {"title": "No messages"}]))
        archive.writestr("conversations-001.json", json.dumps([chatgpt("c-2", current_node=None), chatgpt()]))
    report = import_file(store, path)
    lines = {line.what: line for line in report.lines}
    assert (report.format, report.count("imported"), report.count("skipped")) == ("ChatGPT", 2, 2)
    assert {note for line in report.lines for note in line.notes} == {
        "it has no messages (no `mapping`)",
        "twice in the file",
    }
    first, second = [line.conversation_id for line in report.lines if line.what == "imported"]
    assert lines["imported"].messages == len(TREE)
    assert contents(store, first) == contents(store, second) == TREE
    by_content = {message.content: message for message in store.messages.tree(first or "")}
    answer = by_content["A tree."]
    assert (answer.reasoning, answer.model, answer.external_id) == ("Trees\n\nIt is a tree.", "gpt-5", "a1")
    assert by_content["A bird."].model == "auto"
    raw = store.messages.tree(first or "")[4].extra["imported"]
    assert raw["content"] == {"content_type": "brand_new", "value": 1}
    assert raw["before"][0]["recipient"] == "browser"
    assert store.conversations.get(first or "").current_message_id == answer.id
    # Without one that is named, the newest leaf is shown.
    current = store.conversations.get(second or "").current_message_id
    assert store.messages.get(current or "").content == "and round"
    assert {line.what for line in import_file(store, path).lines} == {"already there", "skipped"}


@pytest.mark.parametrize("current", ["gone", None, "root", 7])
def test_chatgpt_without_a_current_node_shows_the_newest(store: Store, tmp_path: Path, current: Any) -> None:
    (line,) = import_file(store, write(tmp_path / "x.json", [chatgpt(current_node=current)])).lines
    leaf = store.conversations.get(line.conversation_id or "").current_message_id
    assert store.messages.get(leaf or "").content == "and round"


def test_chatgpt_object_and_children_only(store: Store, tmp_path: Path) -> None:
    mapping = {
        "r": {"children": ["q"]},
        "q": {
            "children": ["a"],
            "message": {"author": {"role": "user"}, "content": {"content_type": "text", "parts": ["Hi"]}},
        },
        "a": {"message": {"author": {"role": "assistant"}, "content": {"content_type": "text", "parts": ["Ho"]}}},
    }
    path = write(tmp_path / "x.json", {"conversations": [{"conversation_id": "c", "title": "T", "mapping": mapping}]})
    (line,) = import_file(store, path).lines
    assert contents(store, line.conversation_id) == [("user", "Hi", None), ("assistant", "Ho", "Hi")]


def test_llama_cpp_comes_back(store: Store, tmp_path: Path) -> None:
    tree: list[Any] = [(0, "user", "a"), (1, "assistant", "b"), (0.5, "assistant", "c"), (0, "user", "d")]
    id = grow(store, tree, "Oaks", system_prompt="Be brief.")
    single = tmp_path / "one.jsonl"
    single.write_bytes(exported(store, "llama.cpp"))
    grow(store, tree[:2], "More")
    path = tmp_path / "all.zip"
    path.write_bytes(exported(store, "llama.cpp"))
    with Store.open(tmp_path / "there") as there:
        (line,) = import_file(there, single).lines
        assert exported(there, "llama.cpp") == single.read_bytes()
        assert contents(there, line.conversation_id) == contents(store, id)
        assert sorted(line.what for line in import_file(there, path).lines) == ["already there", "imported"]


def test_llama_cpp_written_elsewhere(store: Store, tmp_path: Path) -> None:
    def message(id: str, parent: str | None, role: str, content: str, **more: Any) -> dict[str, Any]:
        given = {"id": id, "convId": "s", "type": "text", "timestamp": 1_700_000_000_000, "role": role,
                 "content": content, "parent": parent, "children": []}  # fmt: skip
        return {"type": "message", "message": given | more}

    path = write(
        tmp_path / "chat.jsonl",
        {"harness": "llama.cpp", "type": "session", "id": "s", "name": "Oaks", "lastModified": 1_700_000_001_000,
         "currNode": "gone", "pinned": True},
        message("r", None, "system", "", type="root"),
        message("s1", "r", "system", "Be brief."),
        {"type": "of tomorrow"},
        message("q", "s1", "user", "What?", extra=[{"type": "TEXT", "name": "a.txt", "content": "oak"}]),
        message("a", "q", "assistant", "A tree.", thinking="Hm", timings={"predicted_n": 3, "predicted_ms": 1.5}),
        message("t", "a", "tool", "42"),
        message("b", "q", "assistant", "A bird.", timestamp="soon"),
    )  # fmt: skip
    (line,) = import_file(store, path).lines
    assert line.notes == ("1 results of tools",)
    conversation = store.conversations.get(line.conversation_id or "")
    assert (conversation.system_prompt, conversation.pinned, conversation.title) == ("Be brief.", True, "Oaks")
    assert contents(store, conversation.id) == [
        ("user", "What?", None),
        ("assistant", "A tree.", "What?"),
        ("assistant", "A bird.", "What?"),
    ]
    question, answer, _ = store.messages.tree(conversation.id)
    assert question.extra["imported"]["extra"][0]["content"] == "oak"
    assert (answer.reasoning, answer.new_tokens, answer.decode_ms) == ("Hm", 3, 1.5)


def test_training_formats(store: Store, tmp_path: Path) -> None:
    openai = write(
        tmp_path / "a.jsonl",
        {"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is an oak?"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
            {"role": "tool", "tool_call_id": "1", "content": "tree"},
            {"role": "assistant", "content": "A tree.", "weight": 1}]},
        {"messages": []},
    )  # fmt: skip
    report = import_file(store, openai)
    assert [line.what for line in report.lines] == ["skipped", "imported"]
    chat = report.lines[1].conversation_id or ""
    assert store.conversations.get(chat).system_prompt == "Be brief."
    assert contents(store, chat) == [("user", "What is an oak?", None), ("assistant", "A tree.", "What is an oak?")]
    raw = store.messages.tree(chat)[1].extra["imported"]
    assert [each["role"] for each in raw["before"]] == ["assistant", "tool"]
    sharegpt = write(tmp_path / "b.json", [
        {"conversations": [{"from": "human", "value": "Hi"}], "system": "Brief.",
         "chosen": {"from": "gpt", "value": "Ho"}, "rejected": {"from": "gpt", "value": "He"}},
        {"items": [{"from": "user", "value": "1"}, {"from": "bot", "value": "2"}]},
    ])  # fmt: skip
    first, second = import_file(store, sharegpt).lines
    assert contents(store, first.conversation_id) == [
        ("user", "Hi", None),
        ("assistant", "Ho", "Hi"),
        ("assistant", "He", "Hi"),
    ]
    conversation = store.conversations.get(first.conversation_id or "")
    assert store.messages.get(conversation.current_message_id or "").content == "Ho"
    assert contents(store, second.conversation_id) == [("user", "1", None), ("assistant", "2", "1")]
    assert {line.what for line in import_file(store, openai).lines} == {"already there", "skipped"}


@pytest.mark.parametrize("kind", ["openai", "sharegpt", "preferences"])
def test_what_training_gets_is_read_again(store: Store, tmp_path: Path, kind: str) -> None:
    grow(store, [(1, "user", "Hi"), (1, "assistant", "Ho"), (0.5, "assistant", "He")], system_prompt="Brief.")
    path = tmp_path / "x"
    path.write_bytes(exported(store, kind))
    with Store.open(tmp_path / "there") as there:
        assert import_file(there, path).count("imported") == 1
        assert exported(there, kind) == path.read_bytes()


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


def test_the_command(tmp_path: Path) -> None:
    home = tmp_path / "home"
    good = write(tmp_path / "good.json", [chatgpt(), {"title": "Nothing"}])
    result = fireside("import", good, "--home", home)
    assert result.returncode == 0, result.stderr
    assert result.stdout == (
        f"good.json (ChatGPT): 1 imported, 1 skipped; {len(TREE)} messages added\n"
        "  skipped: number 2 of good (it has no messages (no `mapping`))\n"
    )
    assert "1 already there" in fireside("import", good, "--home", home).stdout
    assert_refused(fireside("import", write(tmp_path / "bad.json", {}), "--home", home), 1, "bad.json", "ChatGPT")
    assert_refused(fireside("import", tmp_path / "none.json", "--home", home), 1, "none.json")


def test_the_command_asks_whose_they_become(tmp_path: Path) -> None:
    home, good = tmp_path / "home", write(tmp_path / "good.json", [chatgpt()])
    with Store.open(home) as store:
        ann, _ = store.users.add("Ann", "hash")
        # Another process that is no server.
        assert_refused(fireside("import", good, "--home", home), 1, "in use by process")
    assert_refused(fireside("import", good, "--home", home), 1, "--user NAME", "Ann")
    assert_refused(fireside("import", good, "--home", home, "--user", "Bob"), 1, "Bob")
    assert fireside("import", good, "--home", home, "--user", "ann").returncode == 0
    with Store.open(home) as store:
        assert len(store.of(ann.id).conversations.ids()) == 1
    assert_refused(fireside("export", "--all", "--home", home), 1, "--user NAME", "Ann")
    exported = fireside("export", "--all", "--format", "json", "--user", "Ann", "--home", home)
    assert json.loads(exported.stdout)["conversations"][0]["owner"] == ann.id


def test_every_format_is_one_of_the_command() -> None:
    assert f"[{'|'.join(FORMATS)}]" in "".join(fireside("export", "--help").stdout.split())
    assert_refused(fireside("export", "--all", "--format", "docx"), 2, "docx", *FORMATS)
