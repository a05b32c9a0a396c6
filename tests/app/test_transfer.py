"""A conversation as a Markdown document, and the name of its file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.store import Store
from app.transfer import markdown
from app.transfer.names import MAX_BYTES, file_name


def test_the_active_branch_is_written(store: Store) -> None:
    conversation = store.conversations.create(title="About *oaks*", system_prompt="Be brief.")
    question = store.messages.add(conversation.id, parent_id=None, role="user", content="What is an oak?")
    store.messages.add(conversation.id, parent_id=question.id, role="assistant", content="Another branch")
    store.messages.add(
        conversation.id,
        parent_id=question.id,
        role="assistant",
        content="A tree:\n\n```python\noak = 1",
        status="stopped",
        model="small_model",
        seed=7,
        new_tokens=11,
        decode_ms=500.0,
    )
    minute = conversation.created_at[:16].replace("T", " ")
    text = markdown.document(store.conversations.get(conversation.id), store.messages.path(conversation.id))
    assert text == (
        f"# About \\*oaks\\*\n\n*{minute} UTC*\n\n## System\n\nBe brief.\n\n## You\n\nWhat is an oak?\n\n"
        "## Assistant\n\nA tree:\n\n```python\noak = 1\n```\n\n"
        "*small\\_model · seed 7 · 20.0 tokens/s · stopped*\n"
    )


def test_a_failed_answer_says_why(store: Store) -> None:
    conversation = store.conversations.create()
    store.messages.add(conversation.id, parent_id=None, role="assistant", status="error", extra={"error": "too\nlong"})
    text = markdown.document(conversation, store.messages.path(conversation.id))
    assert text.startswith("# Untitled chat\n")
    assert text.endswith("## Assistant\n\n*failed: too long*\n")


def test_thoughts_are_folded_above_the_answer(store: Store) -> None:
    conversation = store.conversations.create()
    store.messages.add(
        conversation.id, parent_id=None, role="assistant", content="Yes.", reasoning="Is it?\n</Details>\n```\nx"
    )
    text = markdown.document(conversation, store.messages.path(conversation.id))
    assert text.endswith(
        "## Assistant\n\n<details>\n<summary>Thoughts</summary>\n\nIs it?\n&lt;/Details>\n```\nx\n```\n\n</details>"
        "\n\nYes.\n"
    )


@pytest.mark.parametrize(
    ("content", "closed"),
    [
        ("~~~\n```\nx", "~~~\n```\nx\n~~~"),
        ("````\n```\n````", "````\n```\n````"),
        ("``` a ` b", "``` a ` b"),
        ("```\nx\n``` no end", "```\nx\n``` no end\n```"),
        ("no block", "no block"),
    ],
)
def test_open_code_blocks_are_closed(store: Store, content: str, closed: str) -> None:
    conversation = store.conversations.create()
    store.messages.add(conversation.id, parent_id=None, role="user", content=content)
    assert markdown.document(conversation, store.messages.path(conversation.id)).endswith(f"## You\n\n{closed}\n")


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_file_names_are_plain(title: str) -> None:
    name = file_name(title, "md")
    stem = name.removesuffix(".md")
    assert name.endswith(".md")
    assert 0 < len(stem.encode()) <= MAX_BYTES + len("chat ")
    assert not set(name) & set('/\\:*?"<>|\0\n\r\t')
    assert stem[0] not in ".- "


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd", "etc passwd.md"),
        ("CON", "chat CON.md"),
        ("nul.txt", "chat nul.txt.md"),
        ("", "chat.md"),
        ("Größe: 東京?", "Größe 東京.md"),
        ("...", "chat.md"),
    ],
)
def test_file_names(title: str, name: str) -> None:
    assert file_name(title, "md") == name
