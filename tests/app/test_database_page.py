"""The database in the hands of a stranger's tool, as README and docs/database.md tell them to use it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.fake import ScriptedBackend
from app.store import Store
from tests.app.serving import chatting, finish, texts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.+?)```", README, re.DOTALL)
TABLES = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
BEHIND_SEARCH = re.compile(r"messages_fts_\w+")


@pytest.fixture
def database(store: Store) -> Path:
    """A few chats: one with a tag and two versions of an answer, one in Chinese, one in the trash."""
    pieces = iter([["Dry", " wood", "."], ["Air", "."], ["今天天气很好。"], ["Never", " mind", "."]])
    with chatting(store, ScriptedBackend(lambda messages: next(pieces))) as chats:
        sent = chats.send(None, "How do I light a campfire?")
        finish(chats, store, sent)
        finish(chats, store, chats.regenerate(sent.message_id))
        store.conversations.tag(sent.conversation_id, ["Outdoors"])
        finish(chats, store, chats.send(None, "天气?"))
        gone = chats.send(None, "A secret campfire")
        finish(chats, store, gone)
        store.conversations.delete(gone.conversation_id)
        assert texts(store, sent.conversation_id) == ["How do I light a campfire?", "Air."]
    return store.home / "fireside.db"


def sqlite_utils(*arguments: str | Path) -> list[dict[str, object]]:
    """What the tool prints, while Fireside runs."""
    result = subprocess.run([sys.executable, "-m", "sqlite_utils", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_tables_have_names_that_the_page_explains(database: Path) -> None:
    counts = {str(row["table"]): row["count"] for row in sqlite_utils("tables", database, "--counts")}
    own = {name for name in counts if not BEHIND_SEARCH.fullmatch(name)}
    assert own == TABLES | {"_sqlite_migrations"}
    assert (counts["conversations"], counts["messages"], counts["messages_fts"]) == (3, 7, 7)
    assert (counts["conversation_tags"], counts["presets"]) == (1, 3)


def test_the_queries_of_readme_answer_their_questions(database: Path) -> None:
    speed, search, branch = (sqlite_utils("query", database, sql) for sql in QUERIES)
    assert [(row["model"], row["answers"], row["tokens"]) for row in speed] == [("scripted", 3, 8)]
    assert all(isinstance(row["tokens_per_second"], float) for row in speed)
    assert [(row["role"], row["found"]) for row in search] == [("user", "How do I light a [campfire]?")]
    assert branch == [
        {"role": "user", "content": "How do I light a campfire?"},
        {"role": "assistant", "content": "Air."},
    ]


@pytest.mark.parametrize(("asked", "rows"), [("'camp*'", 1), ("'\"dry wood\"'", 1), ("'cjk: \"今天 天天 天气\"'", 1)])
def test_other_ways_to_search_that_readme_tells(database: Path, asked: str, rows: int) -> None:
    assert asked.strip("'") in README
    assert len(sqlite_utils("query", database, QUERIES[1].replace("'campfire'", asked))) == rows
