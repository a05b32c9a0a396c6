"""What other programs have written, made by hand from the shapes that are known, and the trees that become of it."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.store import Conversation, Message, Store
from app.transfer.chat import Chat, Skipped
from app.transfer.exporting import export
from app.transfer.formats import FORMATS
from app.transfer.importing import Report, import_file
from app.transfer.recognition import recognise
from app.transfer.source import ImportRefused, Source


class Read:
    """A file after it was imported: a report of one conversation, and that conversation."""

    def __init__(self, store: Store, path: Path) -> None:
        self.report = import_file(store, path)
        (self.line,) = [line for line in self.report.lines if line.what == "imported"]
        id = self.line.conversation_id or ""
        self.conversation: Conversation = store.conversations.get(id)
        self.tags = store.conversations.tags(id)
        self.messages: list[Message] = store.messages.tree(id)
        self.by_id = {message.id: message for message in self.messages}

    @property
    def tree(self) -> list[tuple[str, str, str | None]]:
        """Role, content, and content of the parent of each message."""
        return [
            (each.role, each.content, self.by_id[each.parent_id].content if each.parent_id else None)
            for each in self.messages
        ]

    @property
    def shown(self) -> str:
        return self.by_id[self.conversation.current_message_id or ""].content

    def message(self, content: str) -> Message:
        (found,) = [message for message in self.messages if message.content == content]
        return found


def whole(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def lines(path: Path, *values: Any) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def assert_unchanged(store: Store, path: Path) -> Report:
    report = import_file(store, path)
    assert {line.what for line in report.lines} <= {"already there", "skipped"}
    assert report.messages == 0
    return report


def claude_message(uuid: str, sender: str, text: str, minute: int, **more: Any) -> dict[str, Any]:
    return {"uuid": uuid, "sender": sender, "text": text, "created_at": f"2025-05-01T10:{minute:02}:00.000000Z",
            "updated_at": f"2025-05-01T10:{minute:02}:00Z"} | more  # fmt: skip


def test_claude_branches(store: Store, tmp_path: Path) -> None:
    root = "00000000-0000-4000-8000-000000000000"
    value = {
        "uuid": "c-1", "name": "Oaks", "summary": "On trees", "account": {"uuid": "me"}, "project_uuid": "p-1",
        "created_at": "2025-05-01T10:00:00.123456Z", "updated_at": "2025-05-01T11:00:00Z",
        "current_leaf_message_uuid": "a1",
        "chat_messages": [
            claude_message("q1", "human", "What is an oak?", 1, parent_message_uuid=root,
                           content=[{"type": "text", "text": "What is an oak?"}],
                           attachments=[{"file_name": "oak.txt", "file_size": 3, "extracted_content": "Oak"}]),
            claude_message("a1", "assistant", "flat", 2, parent_message_uuid="q1", content=[
                {"type": "thinking", "thinking": "A tree, I think."},
                {"type": "text", "text": "A tree."},
                {"type": "tool_use", "name": "search", "input": {"query": "oak"}},
                {"type": "tool_result", "name": "search", "content": []},
                {"type": "text", "text": "Quite sure."},
                {"type": "brand_new", "value": 1}]),
            claude_message("a2", "assistant", "A bird.", 3, parent_message_uuid="q1"),
            claude_message("x", "nobody", "?", 4, parent_message_uuid="a2"),
            claude_message("lost", "human", "Where am I?", 5, parent_message_uuid="gone"),
        ],
    }  # fmt: skip
    path = tmp_path / "data-2025.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("users.json", "[{}]")
        archive.writestr("projects.json", "[{}]")
        archive.writestr("conversations.json", json.dumps([value, {"uuid": "c-2", "name": "Nothing"}]))
    read = Read(store, path)
    question = "[oak.txt]\n\nWhat is an oak?"
    assert read.tree == [
        ("user", question, None),
        ("assistant", "A tree.\n\nQuite sure.\n\n[brand_new]", question),
        ("assistant", "A bird.", question),
        ("user", "Where am I?", None),
    ]
    assert read.report.format == "Claude"
    assert [(line.what, line.notes) for line in read.report.lines] == [
        ("skipped", ("it has no messages (no `chat_messages`)",)),
        ("imported", ("1 messages of an unknown sender",)),
    ]
    answer = read.message("A tree.\n\nQuite sure.\n\n[brand_new]")
    assert (answer.reasoning, answer.external_id) == ("A tree, I think.", "a1")
    assert answer.extra["imported"]["content"][2]["input"] == {"query": "oak"}
    raw = read.message(question).extra["imported"]
    assert raw["attachments"][0]["extracted_content"] == "Oak"
    assert raw["conversation"] == {"summary": "On trees", "project_uuid": "p-1"}
    assert read.shown == answer.content
    assert (read.conversation.title, read.conversation.created_at) == ("Oaks", "2025-05-01T10:00:00.123+00:00")
    assert_unchanged(store, path)


def test_claude_without_parents_or_content(store: Store, tmp_path: Path) -> None:
    said = [("human", "Hi"), ("assistant", "Ho"), ("human", "He")]
    messages = [claude_message(f"m{number}", sender, text, number) for number, (sender, text) in enumerate(said)]
    read = Read(store, whole(tmp_path / "c.json", [{"uuid": "c", "name": "", "chat_messages": messages}]))
    assert read.tree == [("user", "Hi", None), ("assistant", "Ho", "Hi"), ("user", "He", "Ho")]
    assert read.shown == "He"


def webui(**values: Any) -> dict[str, Any]:
    def message(id: str, parent: str | None, role: str, content: str, **more: Any) -> dict[str, Any]:
        return {"id": id, "parentId": parent, "childrenIds": [], "role": role, "content": content,
                "timestamp": 1_700_000_000} | more  # fmt: skip

    thought = (
        '<details type="reasoning" done="true" duration="3">\n<summary>Thought for 3 seconds</summary>\n'
        "&gt; Is 2 &lt; 3?\n&gt; \n&gt; It is.\n</details>\nA tree."
    )
    given = [
        message("q", None, "user", "What is an oak?", files=[{"type": "image", "url": "data:"}], models=["llama"]),
        message("a", "q", "assistant", thought, model="llama", modelName="Llama", modelIdx=0, done=True,
                timestamp=1_700_000_001, usage={"prompt_tokens": 5, "completion_tokens": 7}),
        message("b", "q", "assistant", "", model="qwen", timestamp=1_700_000_002, done=False, output=[
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Feathers"}]},
            {"type": "function_call", "name": "look", "arguments": "{}"},
            {"type": "message", "content": [{"type": "output_text", "text": "A bird."}]}]),
        message("s", "a", "system", "Be brief.", timestamp=1_700_000_003),
        message("q2", "s", "user", "And an elm?", timestamp=1_700_000_004),
        message("t", "gone", "critic", "?", timestamp=1_700_000_005),
    ]  # fmt: skip
    chat = {"title": "Oaks", "models": ["llama", "qwen"],
            "params": {"system": "Be kind.", "temperature": 0.5, "top_k": 7},
            "history": {"currentId": "q2", "messages": {each["id"]: each for each in given}}}  # fmt: skip
    return {"id": "w-1", "user_id": "me", "title": "Oaks", "chat": chat, "meta": {"tags": ["tree", "bird"]},
            "pinned": True, "archived": True, "created_at": 1_700_000_000,
            "updated_at": 1_700_000_009} | values  # fmt: skip


WEBUI_TREE = [
    ("user", "What is an oak?", None),
    ("assistant", "A tree.", "What is an oak?"),
    ("assistant", "A bird.", "What is an oak?"),
    ("user", "And an elm?", "A tree."),
]


def test_open_webui(store: Store, tmp_path: Path) -> None:
    path = whole(tmp_path / "chat-export-1.json", [webui(), {"title": "Nothing", "chat": {}}])
    read = Read(store, path)
    assert (read.report.format, read.tree) == ("Open WebUI", WEBUI_TREE)
    assert read.report.lines[0].notes == ("it has no messages (no `history`)",)
    assert read.line.notes == ("1 messages of an unknown role",)
    tree, bird = read.message("A tree."), read.message("A bird.")
    assert (tree.reasoning, tree.model, tree.prompt_tokens, tree.new_tokens) == ("Is 2 < 3?\n\nIt is.", "llama", 5, 7)
    assert (bird.reasoning, bird.status, bird.model) == ("Feathers", "interrupted", "qwen")
    assert bird.extra["imported"]["output"][1]["name"] == "look"
    assert read.message("What is an oak?").extra["imported"]["files"][0]["type"] == "image"
    conversation = read.conversation
    assert (conversation.system_prompt, conversation.pinned, conversation.archived) == (
        "Be kind.\n\nBe brief.",
        True,
        True,
    )
    assert conversation.settings == {"temperature": 0.5, "top_k": 7}
    assert (sorted(read.tags), read.shown) == (["bird", "tree"], "And an elm?")
    assert_unchanged(store, path)


def test_open_webui_without_the_wrapper(store: Store, tmp_path: Path) -> None:
    inner = webui()["chat"] | {"id": "w-2"}
    inner["history"]["currentId"] = None
    read = Read(store, whole(tmp_path / "old.json", [inner]))
    assert (read.tree, read.shown) == (WEBUI_TREE, "And an elm?")


def test_open_webui_comes_back(store: Store, tmp_path: Path) -> None:
    chat = store.conversations.create(title="Oaks", system_prompt="Brief.", settings={"repetition_penalty": 1.25})
    store.conversations.tag(chat.id, ["tree", "bird"])
    question = store.messages.add(chat.id, parent_id=None, role="user", content="<details> & \n > oaks?")
    for thoughts, content in (("2 < 3 & so\n\n> on", "A </details> tree."), (None, "> A bird."), ("", "")):
        store.messages.add(
            chat.id, parent_id=question.id, role="assistant", content=content, reasoning=thoughts, model="tiny",
            prompt_tokens=5, new_tokens=7,
        )  # fmt: skip
    path = tmp_path / "out.json"
    path.write_bytes(b"".join(export(store, [chat.id], FORMATS["open-webui"]).pieces))
    with Store.open(tmp_path / "there") as there:
        read = Read(there, path)
        again = b"".join(export(there, there.conversations.ids(), FORMATS["open-webui"]).pieces)
        assert again == path.read_bytes()
        assert [(each.content, each.reasoning or None, each.status) for each in read.messages] == [
            (each.content, each.reasoning or None, each.status) for each in store.messages.tree(chat.id)
        ]
        assert_unchanged(there, path)


def test_lm_studio(store: Store, tmp_path: Path) -> None:
    def step(text: str, **more: Any) -> dict[str, Any]:
        return {"type": "contentBlock", "content": [{"type": "text", "text": text, "tokensCount": 1}]} | more

    details = {"indexedModelIdentifier": "qwen/qwen3-4b",
               "stats": {"stopReason": "userStopped", "tokensPerSecond": 9.5, "promptTokensCount": 5,
                         "predictedTokensCount": 7}}  # fmt: skip
    value = {
        "name": "Oaks", "pinned": True, "createdAt": 1_700_000_000_000, "systemPrompt": "Be brief.",
        "messages": [
            {"versions": [
                {"type": "singleStep", "role": "user", "content": [
                    {"type": "text", "text": "What is this?"}, {"type": "file", "name": "oak.png"}]}],
             "currentlySelected": 0},
            {"versions": [
                {"type": "multiStep", "role": "assistant", "steps": [
                    step("Hm, a tree.", style={"type": "thinking"}), step("A tree.", genInfo=details),
                    {"type": "debugInfoBlock", "debugInfo": "x"}]},
                {"type": "multiStep", "role": "assistant", "steps": [step("A bird.")]}],
             "currentlySelected": 1},
            {"versions": [{"role": "user", "content": "Sure?"}], "currentlySelected": 9},
            {"versions": [{"role": "narrator", "content": "Silence."}]},
            "no message",
        ],
    }  # fmt: skip
    path = whole(tmp_path / "1700000000000.conversation.json", value)
    read = Read(store, path)
    question = "What is this?[oak.png]"
    assert (read.report.format, read.tree) == ("LM Studio", [
        ("user", question, None),
        ("assistant", "A tree.", question),
        ("assistant", "A bird.", question),
        ("user", "Sure?", "A bird."),
    ])  # fmt: skip
    assert read.line.notes == ("1 messages of an unknown role",)
    answer = read.message("A tree.")
    assert (answer.reasoning, answer.model, answer.new_tokens, answer.status) == (
        "Hm, a tree.", "qwen/qwen3-4b", 7, "stopped",
    )  # fmt: skip
    # Its tokens a second may count the prompt's time: what is said stays, and is no figure of ours.
    assert answer.extra["imported"]["genInfo"][0]["stats"]["tokensPerSecond"] == 9.5
    assert answer.decode_ms is None
    conversation = read.conversation
    assert (conversation.title, conversation.system_prompt, conversation.pinned) == ("Oaks", "Be brief.", True)
    assert (conversation.created_at[:10], read.shown) == ("2023-11-14", "Sure?")
    assert_unchanged(store, path)


def test_textgen(store: Store, tmp_path: Path) -> None:
    value = {
        "internal": [
            ["<|BEGIN-VISIBLE-CHAT|>", "Hello there."],
            ["Is 2 < 3?", "<think>\nCount.\n</think>\n\nIt is."],
            ["odd"],
            ["", ""],
        ],
        "visible": [
            ["", "Hello there."],
            ["Is 2 &lt; 3?", "It is."],
            [],
            ["And 3 &lt; 4?", "So it is."],
        ],
        "metadata": {
            "user_1": {"timestamp": "Jun 03, 2025 14:05", "attachments": [{"name": "a.txt", "content": "x"}]},
            "assistant_1": {
                "timestamp": "Jun 03, 2025 14:06", "model_name": "qwen",
                "versions": [{"content": "It is not.", "visible_content": "It is not.",
                              "timestamp": "Jun 03, 2025 14:06"},
                             {"content": "<think>\nCount.\n</think>\n\nIt is.", "timestamp": "Jun 03, 2025 14:07"}],
                "current_version_index": 1,
            },
        },
    }  # fmt: skip
    path = whole(tmp_path / "20250603-14-05-10.json", value)
    read = Read(store, path)
    assert (read.report.format, read.tree) == ("text-generation-webui", [
        ("assistant", "Hello there.", None),
        ("user", "Is 2 < 3?", "Hello there."),
        ("assistant", "It is not.", "Is 2 < 3?"),
        ("assistant", "It is.", "Is 2 < 3?"),
        ("user", "And 3 < 4?", "It is."),
        ("assistant", "So it is.", "And 3 < 4?"),
    ])  # fmt: skip
    assert read.line.notes == ("1 rows that are no pair",)
    answer = read.message("It is.")
    assert (answer.reasoning, answer.model) == ("Count.", "qwen")
    assert answer.created_at == "2025-06-03T14:07:00.000+00:00"
    assert read.message("Is 2 < 3?").extra["imported"]["attachments"][0]["name"] == "a.txt"
    assert (read.conversation.title, read.shown) == ("20250603-14-05-10", "So it is.")
    assert read.conversation.created_at == "2025-06-03T14:05:00.000+00:00"
    assert_unchanged(store, path)


def test_textgen_of_long_ago(store: Store, tmp_path: Path) -> None:
    value = {"data": [["Hi", "Ho"]], "data_visible": [["Hi", "Ho"]]}
    read = Read(store, whole(tmp_path / "Assistant.json", value))
    assert read.tree == [("user", "Hi", None), ("assistant", "Ho", "Hi")]


def test_sillytavern(store: Store, tmp_path: Path) -> None:
    header = {"user_name": "Ann", "character_name": "Sera", "create_date": "2024-5-3 @12h 30m 20s 123ms",
              "chat_metadata": {"note_prompt": "Be kind.", "integrity": "11-22"}}  # fmt: skip
    path = lines(
        tmp_path / "Sera - 2024-5-3.jsonl",
        header,
        {"name": "Sera", "is_user": False, "send_date": "May 3, 2024 12:30pm", "mes": "Hello there.", "extra": {}},
        {"name": "Ann", "is_user": True, "send_date": 1_714_739_500_000, "mes": "What is an oak?"},
        {"name": "System", "is_user": False, "is_system": True, "mes": "Hidden.", "send_date": "soon"},
        {"name": "Sera", "is_user": False, "send_date": "2024-05-03T12:33:00.000Z", "mes": "A tree, edited.",
         "swipes": ["A bird.", "A tree.", "A fish."], "swipe_id": 1,
         "swipe_info": [{"send_date": "2024-05-03T12:32:00.000Z", "extra": {"model": "old", "reasoning": "Wings"}}],
         "extra": {"api": "koboldcpp", "model": "new", "reasoning": "Leaves", "token_count": 3}},
        {"name": "Bob", "is_user": False, "mes": "I disagree.", "swipes": [], "swipe_id": 5},
        {"no": "message"},
    )  # fmt: skip
    read = Read(store, path)
    assert (read.report.format, read.tree) == ("SillyTavern", [
        ("assistant", "Hello there.", None),
        ("user", "What is an oak?", "Hello there."),
        ("assistant", "A bird.", "What is an oak?"),
        ("assistant", "A tree, edited.", "What is an oak?"),
        ("assistant", "A fish.", "What is an oak?"),
        ("assistant", "I disagree.", "A tree, edited."),
    ])  # fmt: skip
    assert read.line.notes == ("1 hidden messages",)
    bird, tree = read.message("A bird."), read.message("A tree, edited.")
    assert (bird.model, bird.reasoning, tree.model, tree.reasoning) == ("old", "Wings", "new", "Leaves")
    assert (bird.created_at, tree.created_at) == ("2024-05-03T12:32:00.000+00:00", "2024-05-03T12:33:00.000+00:00")
    assert tree.extra["imported"]["before"][0]["mes"] == "Hidden."
    assert read.message("I disagree.").extra["imported"]["name"] == "Bob"
    about = read.message("Hello there.").extra["imported"]["conversation"]
    assert about == {"user_name": "Ann", "character_name": "Sera", "chat_metadata": {"note_prompt": "Be kind."}}
    assert read.conversation.created_at == "2024-05-03T12:30:20.123+00:00"
    assert (read.conversation.title, read.shown) == ("Sera - 2024-5-3", "I disagree.")
    assert_unchanged(store, path)


@pytest.mark.parametrize("many", [True, False])
def test_llama_cpp_as_it_was_exported_before(store: Store, tmp_path: Path, many: bool) -> None:
    def message(id: str, parent: str | None, role: str, content: str, **more: Any) -> dict[str, Any]:
        return {"id": id, "convId": "s", "type": "text", "timestamp": 1_700_000_000_000, "role": role,
                "content": content, "parent": parent, "children": []} | more  # fmt: skip

    value = {"conv": {"id": "s", "name": "Oaks", "lastModified": 1_700_000_001_000, "currNode": "a"}, "messages": [
        message("r", None, "system", "", type="root"), message("q", "r", "user", "What?"),
        message("b", "q", "assistant", "A bird."), message("a", "q", "assistant", "A tree.", thinking="Hm"), 7,
    ]}  # fmt: skip
    path = whole(tmp_path / "x.json", [value, {}] if many else value)
    read = Read(store, path)
    assert sorted(read.tree, key=str) == [
        ("assistant", "A bird.", "What?"), ("assistant", "A tree.", "What?"), ("user", "What?", None),
    ]  # fmt: skip
    assert (read.shown, read.message("A tree.").reasoning) == ("A tree.", "Hm")
    assert_unchanged(store, path)


ODD: list[Any] = [None, 7, "x", [], {}, [[]], [{}], True]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_any_value_may_stand_anywhere(store: Store, tmp_path: Path, odd: Any) -> None:
    """Whatever one key of a message or conversation has become, a file is read or refused, never more."""
    sillytavern = [
        {"user_name": "Ann", "character_name": "Sera", "create_date": 1, "chat_metadata": {}},
        {"name": "Ann", "is_user": True, "mes": "Hi", "send_date": 1, "swipes": ["Hi"], "swipe_id": 0,
         "swipe_info": [{}], "extra": {}},
    ]  # fmt: skip
    claude = {"uuid": "c", "name": "n", "created_at": "2025-05-01T10:00:00Z", "updated_at": "", "summary": "",
              "chat_messages": [claude_message("q", "human", "Hi", 1, content=[{"type": "text", "text": "Hi"}],
                                               attachments=[], files=[], parent_message_uuid="x")]}  # fmt: skip
    studio = {"name": "n", "createdAt": 1, "systemPrompt": "", "messages": [
        {"versions": [{"role": "user", "content": [{"type": "text", "text": "x"}]}], "currentlySelected": 0},
        {"versions": [{"role": "assistant", "steps": [
            {"type": "contentBlock", "style": {"type": "thinking"}, "content": "x",
             "genInfo": {"stats": {"predictedTokensCount": 1}}}]}]}]}  # fmt: skip
    textgen = {"internal": [["a", "b"]], "visible": [["a", "b"]],
               "metadata": {"user_0": {"timestamp": "x", "versions": [{"content": "y"}],
                                       "current_version_index": 0}}}  # fmt: skip
    files = [webui(), claude, studio, textgen, sillytavern]
    values = [each for value in files for each in changes(value, odd)]
    with store.imports.staging() as staging:
        for value in values:
            text = "\n".join(map(json.dumps, value)) if isinstance(value, list) else json.dumps(value)
            source = Source("x", partial(io.BytesIO, text.encode()), lambda size: None)
            chats: list[Chat | Skipped] = []
            with suppress(ImportRefused):
                chats = list(recognise(source)[1])
            for chat in chats:
                if isinstance(chat, Chat):
                    with suppress(ValueError):
                        staging.put(chat.conversation, chat.messages, chat.tags, chat.preset)


def changes(value: Any, odd: Any) -> list[Any]:
    """The value, each time with `odd` in another place of it."""
    if isinstance(value, dict):
        return [value | {key: each} for key in value for each in [odd, *changes(value[key], odd)]]
    if isinstance(value, list):
        return [
            [*value[:place], each, *value[place + 1 :]]
            for place, old in enumerate(value)
            for each in [odd, *changes(old, odd)]
        ]
    return []


@pytest.mark.parametrize("many", [True, False])
def test_numbers_of_any_size_are_kept(store: Store, tmp_path: Path, many: bool) -> None:
    """Seeds have 64 bits elsewhere: that is no reason to refuse a file."""
    message = {"role": "user", "content": "Hi", "seed": 2**64 - 1, "share": 0.5}
    value = {"messages": [message, {"role": "assistant", "content": "Ho"}]}
    read = Read(store, whole(tmp_path / "x.json", [value] if many else value))
    assert read.message("Hi").extra["imported"]["turn"] == message
