"""Conversations as files of every format, with all that each can hold."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import struct
import zipfile
from base64 import b64decode
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.store import Message, NotFound, Store
from app.store.records import Role
from app.transfer.chat import collect
from app.transfer.exporting import export
from app.transfer.formats import FORMATS

IDS = struct.pack("<3I", 1, 2, 3)
CODE = "Here:\n\n```python\ndef oak():\n    return 'tree'\n```"


class Oaks(NamedTuple):
    """A conversation in which the question was asked in two ways, and the second was answered twice."""

    id: str
    draft: Message
    question: Message
    kept: Message
    other: Message


@pytest.fixture
def oaks(store: Store) -> Oaks:
    preset = store.presets.list()[0]
    chat = store.conversations.create(
        title="About: oaks", system_prompt="Be brief.", preset_id=preset.id, settings={"temperature": 0.5}
    )
    store.conversations.tag(chat.id, ["trees", "autumn"])

    def add(parent: Message | None, role: Role, content: str, **columns) -> Message:  # type: ignore[no-untyped-def]
        return store.messages.add(
            chat.id, parent_id=parent.id if parent else None, role=role, content=content, **columns
        )

    draft = add(None, "user", "What is an oke?")
    lost = add(draft, "assistant", "Perhaps an oak.")
    question = add(None, "user", "What is an oak? 橡树 🌳")
    other = add(question, "assistant", "A bird.", model="tiny")
    kept = add(
        question,
        "assistant",
        CODE,
        model="small_model",
        reasoning="A tree, surely.",
        seed=7,
        settings={"temperature": 0.5},
        engine={"device": "cpu"},
        token_ids=IDS,
        new_tokens=3,
        prompt_tokens=9,
        decode_ms=100.0,
    )
    store.branches.delete(lost.id)
    store.conversations.select(chat.id, kept.id)
    return Oaks(chat.id, draft, question, kept, other)


def written(store: Store, kind: str, *ids: str, **options: bool) -> str:
    return b"".join(export(store, ids, FORMATS[kind], **options).pieces).decode()


def test_json_has_everything_but_the_trash(store: Store, oaks: Oaks) -> None:
    content = json.loads(written(store, "json", oaks.id))
    assert (content["format"], content["version"]) == ("fireside", 1)
    (chat,) = content["conversations"]
    assert (chat["title"], chat["system_prompt"], chat["tags"]) == ("About: oaks", "Be brief.", ["autumn", "trees"])
    assert chat["current_message_id"] == oaks.kept.id
    assert [(each["id"], each["parent_id"]) for each in chat["messages"]] == [
        (oaks.draft.id, None),
        (oaks.question.id, None),
        (oaks.other.id, oaks.question.id),
        (oaks.kept.id, oaks.question.id),
    ]
    kept = chat["messages"][-1]
    assert (kept["seed"], kept["reasoning"], kept["engine"]) == (7, "A tree, surely.", {"device": "cpu"})
    assert b64decode(kept["token_ids"]) == IDS
    # No column is forgotten, also of those that come later; docs/transfer.md names those that are left out.
    with closing(sqlite3.connect(store.home / "fireside.db")) as db:
        tables = {name: {row[1] for row in db.execute(f"PRAGMA table_info({name})")} for name in
                  ("conversations", "messages", "presets")}  # fmt: skip
    assert tables["messages"] - set(kept) == {"conversation_id", "rowid", "cjk", "deleted_at", "deleted_by"}
    assert set(kept) == set(Message.__slots__) - {"conversation_id", "deleted_at"}
    assert tables["conversations"] ^ set(chat) == {"deleted_at", "tags", "messages"}
    assert tables["presets"] - set(content["presets"][0]) == {"owner", "created_at", "updated_at"}
    assert [preset["id"] for preset in content["presets"]] == [chat["preset_id"]]


def test_openai_messages(store: Store, oaks: Oaks) -> None:
    system = {"role": "system", "content": "Be brief."}
    question = {"role": "user", "content": oaks.question.content}
    lines = [json.loads(line) for line in written(store, "openai", oaks.id).splitlines()]
    assert lines == [{"messages": [system, question, {"role": "assistant", "content": CODE}]}]
    every = [json.loads(line) for line in written(store, "openai", oaks.id, all_branches=True).splitlines()]
    assert every == [{"messages": [system, question, {"role": "assistant", "content": "A bird."}]}, *lines]


def test_sharegpt_and_preference_pairs(store: Store, oaks: Oaks) -> None:
    asked = {"from": "human", "value": oaks.question.content}
    chosen, rejected = {"from": "gpt", "value": CODE}, {"from": "gpt", "value": "A bird."}
    assert json.loads(written(store, "sharegpt", oaks.id)) == [
        {"conversations": [asked, chosen], "system": "Be brief."}
    ]
    assert json.loads(written(store, "preferences", oaks.id)) == [
        {"conversations": [asked], "system": "Be brief.", "chosen": chosen, "rejected": rejected}
    ]
    store.conversations.select(oaks.id, oaks.draft.id)
    for kind in ("sharegpt", "preferences"):
        assert json.loads(written(store, kind, oaks.id)) == []
    assert written(store, "openai", oaks.id) == ""


def test_preference_pairs_are_the_picks_of_comparisons(store: Store, oaks: Oaks) -> None:
    def compared(text: str, comparison: str, **told: str) -> Message:
        extra = {"comparison": {"id": comparison, "label": text} | told}
        return store.messages.add(
            oaks.id, parent_id=oaks.question.id, role="assistant", content=text, status="complete", extra=extra
        )

    now = "2026-01-01T00:00:00.000+00:00"
    texts = {text: compared(text, "one") for text in ("Warm.", "Cold.")}
    texts |= {text: compared(text, "two") for text in ("Red.", "Blue.")}
    picked = compared("Hot.", "one", picked_at=now)
    compared("Hot.", "one")
    compared("Green.", "two", picked_at=now)
    # What is shown says nothing where there are picks, and another branch than the one shown has them too.
    for shown in (oaks.kept, oaks.draft, picked):
        store.conversations.select(oaks.id, shown.id)
        pairs = json.loads(written(store, "preferences", oaks.id))
        assert [(each["chosen"]["value"], each["rejected"]["value"]) for each in pairs] == [
            ("Hot.", "Warm."),
            ("Hot.", "Cold."),
            ("Green.", "Red."),
            ("Green.", "Blue."),
        ]
        assert {each["conversations"][-1]["value"] for each in pairs} == {oaks.question.content}
    assert len(texts) == 4


def test_llama_cpp_gets_a_whole_tree(store: Store, oaks: Oaks) -> None:
    session, *records = [json.loads(line) for line in written(store, "llama.cpp", oaks.id).splitlines()]
    assert (session["type"], session["name"], session["currNode"]) == ("session", "About: oaks", oaks.kept.id)
    messages = {record["message"]["id"]: record["message"] for record in records if record["type"] == "message"}
    (root,) = [message for message in messages.values() if message["parent"] is None]
    assert root["type"] == "root"
    for message in messages.values():
        assert message["convId"] == session["id"]
        for child in message["children"]:
            assert messages[child]["parent"] == message["id"]
        if message is not root:
            assert message["id"] in messages[message["parent"]]["children"]
    (system,) = [messages[child] for child in root["children"]]
    assert (system["role"], system["content"]) == ("system", "Be brief.")
    assert system["children"] == [oaks.draft.id, oaks.question.id]
    kept = messages[oaks.kept.id]
    assert kept["reasoningContent"] == "A tree, surely."
    assert (kept["timings"]["predicted_n"], kept["timings"]["prompt_n"]) == (3, 9)
    generation = {record["id"]: record for record in records if record["type"] == "generation"}
    assert generation[oaks.kept.id]["seed"] == 7


def test_text_for_people(store: Store, oaks: Oaks) -> None:
    text = written(store, "txt", oaks.id, oaks.id)
    assert text.count(f"System:\nBe brief.\n\nYou:\n{oaks.question.content}\n\nAssistant:\n{CODE}") == 2
    document = written(store, "md", oaks.id)
    assert written(store, "md", oaks.id, oaks.id) == f"{document}\n---\n\n{document}"


def test_web_page(store: Store, oaks: Oaks) -> None:
    page = written(store, "html", oaks.id)
    assert "<title>About: oaks</title>" in page
    assert re.search(r'<span class="k">def</span>.*<span class="nf">oak</span>', page)
    assert "<summary>Thoughts</summary>" in page
    assert "small_model · seed 7 · 20.0 tokens/s" in page
    assert "default-src 'none'" in page
    assert not re.search(r"<script|\bsrc=|url\(|@import", page)


def test_a_zip_has_a_file_for_each(store: Store, oaks: Oaks) -> None:
    same = store.conversations.create(title="ABOUT: OAKS").id
    reserved = store.conversations.create(title="con").id
    file = export(store, [oaks.id, same, reserved], FORMATS["llama.cpp"])
    assert (file.name, file.media_type) == ("fireside-chats.zip", "application/zip")
    with zipfile.ZipFile(io.BytesIO(b"".join(file.pieces))) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names == ["About oaks.jsonl", "ABOUT OAKS (2).jsonl", "chat con.jsonl"]
        assert archive.read(names[0]).decode() == written(store, "llama.cpp", oaks.id)


def test_one_file_is_named_after_its_conversation(store: Store, oaks: Oaks) -> None:
    assert export(store, [oaks.id], FORMATS["html"]).name == "About oaks.html"
    assert export(store, [oaks.id] * 2, FORMATS["html"]).name == "fireside-chats.html"
    with pytest.raises(NotFound):
        export(store, [oaks.id, "nothing"], FORMATS["json"])


@pytest.mark.parametrize("kind", FORMATS)
def test_an_empty_conversation_and_none_at_all(store: Store, kind: str) -> None:
    empty = store.conversations.create().id
    for ids in ([empty], []):
        pieces = b"".join(export(store, ids, FORMATS[kind]).pieces)
        if kind in ("json", "sharegpt", "preferences"):
            json.loads(pieces)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(text=st.text(max_size=300), title=st.text(max_size=60))
def test_any_text_is_exported(store: Store, text: str, title: str) -> None:
    chat = store.conversations.create(title=title, system_prompt=text)
    question = store.messages.add(chat.id, parent_id=None, role="user", content=text)
    answer = store.messages.add(chat.id, parent_id=question.id, role="assistant", content=text, reasoning=text)
    (collected,) = collect(store, [chat.id])
    assert collected.path == collected.branches[0] == [*collected.messages]
    for kind in FORMATS:
        content = written(store, kind, chat.id)
        if kind == "html":
            assert not re.search(r"<(script|img|iframe|style (?!>)|svg|form|object)\b", content)
    stored = store.messages.get(answer.id).content
    assert json.loads(written(store, "json", chat.id))["conversations"][0]["messages"][1]["content"] == stored


def test_all_conversations_are_exported(store: Store, oaks: Oaks, tmp_path: Path) -> None:
    archived = store.conversations.create(title="Put away").id
    store.conversations.archive(archived)
    deleted = store.conversations.create(title="Thrown away").id
    store.conversations.delete(deleted)
    assert set(store.conversations.ids()) == {oaks.id, archived}
    assert store.conversations.ids("oak") == [oaks.id]
