"""Conversations from files: everything that was exported comes back, and twice changes nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.store import Store
from app.transfer.chat import collect, new_conversation, new_message
from app.transfer.formats import FORMATS
from app.transfer.importing import import_file
from app.transfer.source import ImportCancelled, ImportRefused
from tests.app.chat_files import TREE, chatgpt, exported, grow, write
from tests.app.command import assert_refused, fireside

EXPORTED_AT = re.compile(r'"exported_at": "[^"]*"')
texts = st.text(max_size=40)
# Under which earlier message each one stands, as a share of those there are, and what it is.
trees = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["user", "assistant"]), texts), max_size=12)


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
