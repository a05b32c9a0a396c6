"""What ChatGPT, llama.cpp's page and training files have, and the trees that become of it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.store import Store
from app.transfer.importing import import_file
from tests.app.chat_files import TREE, chatgpt, contents, exported, grow, write


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
