"""What a format is said to leave out is what its files lack, and what it is said to hold comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.store import Message, Store
from app.store.tokens import TokenLog
from app.transfer.chat import Chat, collect
from app.transfer.exporting import export
from app.transfer.formats import FORMATS
from app.transfer.importing import import_file
from app.transfer.left_out import (
    ARCHIVED,
    CONTEXT,
    EDITED,
    ENDING,
    EVERYTHING,
    FIGURES,
    MADE_WITH,
    MODEL,
    OTHER,
    OTHER_BRANCHES,
    PINNED,
    PRESET,
    SETTINGS,
    SYSTEM_PROMPT,
    TAGS,
    THOUGHTS,
    TIMES,
    TOKENS,
    left_out,
)

# Of what is counted as left out, these write a part: the seed and the speed, two counts, whether an answer was ended,
# the answers beside those that are shown.
IN_PART = {
    *((kind, what) for kind in ("md", "html") for what in (FIGURES, MADE_WITH)),
    *(("open-webui", what) for what in (FIGURES, ENDING)),
    ("preferences", OTHER_BRANCHES),
}


def rich(store: Store) -> Chat:
    """A chat that has something of everything."""
    preset = store.presets.save("Wild", {"temperature": 1.5})
    chat = store.conversations.create(
        title="Oaks", system_prompt="Be brief.", preset_id=preset.id, settings={"temperature": 0.5}
    )
    store.conversations.tag(chat.id, ["trees"])
    store.conversations.pin(chat.id)
    store.conversations.archive(chat.id)
    question = store.messages.add(chat.id, parent_id=None, role="user", content="What is an oak?")
    store.messages.add(chat.id, parent_id=question.id, role="assistant", content="A bird.")
    log = TokenLog()
    log.append(7, -0.5, [(7, -0.5), (9, -1.25)])
    answer = store.messages.add(
        chat.id,
        parent_id=question.id,
        role="assistant",
        content="A tree.",
        reasoning="Surely.",
        model="tiny",
        status="stopped",
        seed=7,
        settings={"temperature": 0.5},
        engine={"device": "cpu"},
        new_tokens=3,
        prompt_tokens=9,
        decode_ms=100.0,
        token_ids=log.ids(),
        token_logprobs=log.logprobs(),
        edited=True,
        extra={"imported": {"flags": 1}},
    )
    store.messages.update(answer.id, context="pinned")
    (found,) = collect(store, [chat.id])
    return found


def of_answer(**columns: Any) -> Callable[[Chat], Chat]:
    def changed(chat: Chat) -> Chat:
        return replace(chat, messages=(*chat.messages[:-1], replace(chat.messages[-1], **columns)))

    return changed


def of_chat(**columns: Any) -> Callable[[Chat], Chat]:
    return lambda chat: replace(chat, conversation=replace(chat.conversation, **columns))


WITHOUT: dict[str, Callable[[Chat], Chat]] = {
    OTHER_BRANCHES: lambda chat: replace(chat, messages=(chat.messages[0], chat.messages[2])),
    THOUGHTS: of_answer(reasoning=None),
    SYSTEM_PROMPT: of_chat(system_prompt=""),
    TIMES: of_answer(created_at="1970-01-01T00:00:00.000+00:00"),
    TAGS: lambda chat: replace(chat, tags=()),
    PINNED: of_chat(pinned=False),
    ARCHIVED: of_chat(archived=False),
    SETTINGS: of_chat(settings={}),
    PRESET: lambda chat: of_chat(preset_id=None)(replace(chat, preset=None)),
    MODEL: of_answer(model=None),
    ENDING: of_answer(status="complete"),
    FIGURES: of_answer(new_tokens=None, prompt_tokens=None, decode_ms=None),
    MADE_WITH: of_answer(seed=None, settings={}, engine={}),
    EDITED: of_answer(edited=False),
    CONTEXT: of_answer(context=None),
    TOKENS: of_answer(token_ids=None, token_logprobs=None),
    OTHER: of_answer(extra={}),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_said_to_be_left_out_is(store: Store, kind: str) -> None:
    assert set(WITHOUT) == EVERYTHING
    chat, chosen, absent = rich(store), FORMATS[kind], set()
    if kind == "preferences":
        # An answer that was stopped is in no pair.
        chat, absent = of_answer(status="complete")(chat), {ENDING}
    for every in (False, True) if chosen.chooses else (False,):
        holds = chosen.holding(every)
        said = {words.rpartition(" (")[0] for words in left_out([chat], holds)}
        assert said == EVERYTHING - holds - absent
        whole = written(chat, kind, every)
        for what, without in WITHOUT.items():
            if (kind, what) not in IN_PART:
                assert (written(without(chat), kind, every) != whole) == (what in holds), what


def written(chat: Chat, kind: str, every: bool) -> str:
    text = "".join(FORMATS[kind].write([chat], every))
    # But for the moment at which it is written.
    return "".join(line for line in text.splitlines(keepends=True) if '"exported_at"' not in line)


def answer_of(chat: Chat) -> Message:
    return next(message for message in chat.messages if message.content == "A tree.")


COMES_BACK: dict[str, Callable[[Chat], Any]] = {
    OTHER_BRANCHES: lambda chat: sorted(message.content for message in chat.messages),
    THOUGHTS: lambda chat: answer_of(chat).reasoning,
    SYSTEM_PROMPT: lambda chat: chat.conversation.system_prompt,
    # Open WebUI knows whole seconds.
    TIMES: lambda chat: answer_of(chat).created_at[:19],
    TAGS: lambda chat: chat.tags,
    PINNED: lambda chat: chat.conversation.pinned,
    ARCHIVED: lambda chat: chat.conversation.archived,
    SETTINGS: lambda chat: chat.conversation.settings,
    PRESET: lambda chat: chat.preset and chat.preset.settings,
    MODEL: lambda chat: answer_of(chat).model,
    ENDING: lambda chat: answer_of(chat).status,
    FIGURES: lambda chat: (answer_of(chat).new_tokens, answer_of(chat).decode_ms),
    MADE_WITH: lambda chat: (answer_of(chat).seed, answer_of(chat).settings, answer_of(chat).engine),
    EDITED: lambda chat: answer_of(chat).edited,
    CONTEXT: lambda chat: answer_of(chat).context,
    TOKENS: lambda chat: answer_of(chat).token_ids,
    OTHER: lambda chat: answer_of(chat).extra.get("imported"),
}


@pytest.mark.parametrize("kind", ["json", "llama.cpp", "open-webui"])
def test_what_is_held_comes_back_and_what_is_left_out_does_not(store: Store, tmp_path: Path, kind: str) -> None:
    assert set(COMES_BACK) == EVERYTHING
    chat, path = rich(store), tmp_path / "file"
    path.write_bytes(b"".join(export(store, [chat.conversation.id], FORMATS[kind]).pieces))
    with Store.open(tmp_path / "there") as there:
        (line,) = import_file(there, path).lines
        assert (line.what, line.messages) == ("imported", len(chat.messages))
        (back,) = collect(there, [line.conversation_id or ""])
        assert back.conversation.title == chat.conversation.title
        assert answer_of(back).id == back.conversation.current_message_id
        for what, value in COMES_BACK.items():
            assert (value(back) == value(chat)) == (what in FORMATS[kind].holds), what


def test_llama_cpp_file_without_our_records(store: Store, tmp_path: Path) -> None:
    """As llama.cpp's page writes it again, once it was there: it knows its own records only."""
    chat, path = rich(store), tmp_path / "chat.jsonl"
    text = b"".join(export(store, [chat.conversation.id], FORMATS["llama.cpp"]).pieces).decode()
    records = [json.loads(line) for line in text.splitlines()]
    (own,) = [record for record in records if record["type"] == "conversation"]
    assert (own["tags"], own["archived"], own["settings"]) == (["trees"], True, {"temperature": 0.5})
    theirs = [record for record in records if record["type"] in ("session", "message")]
    assert [record["type"] for record in records if record not in theirs] == ["conversation", *["generation"] * 2]
    path.write_text("\n".join(map(json.dumps, theirs)), encoding="utf-8")
    with Store.open(tmp_path / "there") as there:
        (line,) = import_file(there, path).lines
        (back,) = collect(there, [line.conversation_id or ""])
        assert (back.tags, back.conversation.archived, back.conversation.settings) == ((), False, {})
        assert (back.conversation.pinned, back.conversation.system_prompt) == (True, "Be brief.")
        assert [message.content for message in back.path] == ["What is an oak?", "A tree."]
        assert (answer_of(back).reasoning, answer_of(back).new_tokens) == ("Surely.", 3)
