"""Conversations in ShareGPT's format, and pairs of a chosen and a rejected answer, as LLaMA-Factory reads them.

https://llamafactory.readthedocs.io/en/latest/getting_started/data_preparation.html describes both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from app.inside.comparison import comparison_of, is_picked
from app.store import Message
from app.transfer.array import array
from app.transfer.chat import Chat, Skipped, text_of
from app.transfer.openai_messages import lines, messages
from app.transfer.source import Source
from app.transfer.turns import Turn, chat_of

SOURCE = "sharegpt"
FROM = {"user": "human", "assistant": "gpt"}
# What older collections call them, too.
ROLES = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "assistant", "bot", "chatgpt", "bing", "bard", "model"), "assistant"),
    "system": "system",
}


def write(chats: Iterable[Chat], all_branches: bool = False) -> Iterator[str]:
    """An entry for the branch that is shown, or for every one, of each conversation."""
    return array(_entry(line) for chat in chats for line in lines(chat, all_branches))


def write_preferences(chats: Iterable[Chat], all_branches: bool = False) -> Iterator[str]:
    """An entry for each answer that was chosen over another.

    Where answers were compared, which one was picked is on record: the pairs are of it and those it was compared with,
    in every branch. Otherwise an answer of the branch that is shown is preferred to each that was given up for it.
    """
    return array(entry for chat in chats for entry in _pairs(chat))


def _pairs(chat: Chat) -> Iterator[dict[str, Any]]:
    children = chat.children
    shown = {message.id for message in chat.path}
    for chosen in chat.messages:
        siblings = [each for each in children[chosen.parent_id] if _sayable(each)]
        if not _sayable(chosen):
            continue
        if is_picked(chosen):
            over = [each for each in siblings if comparison_of(each) == comparison_of(chosen)]
        elif chosen.id in shown and not any(is_picked(each) for each in siblings):
            over = siblings
        else:
            continue
        for other in over:
            # The same answer given twice says nothing about which is better.
            if other.content != chosen.content:
                pair = {"chosen": _turn("assistant", chosen.content), "rejected": _turn("assistant", other.content)}
                yield _entry(messages(chat, chat.path_to(chosen.parent_id))) | pair


def _sayable(message: Message) -> bool:
    """Whether a message is an answer that could be preferred to another."""
    return message.role == "assistant" and message.status == "complete" and bool(message.content)


def _entry(line: list[dict[str, str]]) -> dict[str, Any]:
    system = [each["content"] for each in line if each["role"] == "system"]
    turns = [_turn(each["role"], each["content"]) for each in line if each["role"] != "system"]
    return {"conversations": turns} | ({"system": "\n\n".join(system)} if system else {})


def _turn(role: str, content: str) -> dict[str, str]:
    return {"from": FROM[role], "value": content}


def recognises(value: dict[str, Any]) -> bool:
    """Whether a value has `conversations`, or as in old collections `items`, of `from` and `value`."""
    return any(isinstance(each, dict) and "from" in each and "value" in each for each in _given(value))


def read(values: Iterable[Any], source: Source) -> Iterator[Chat | Skipped]:
    """A conversation of each value; of a pair, the chosen answer is shown and the rejected one stands beside it."""
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict) or not (recognises(value) or isinstance(value.get("chosen"), dict)):
            yield Skipped(f"number {number} of {source.stem}", "it has no `conversations`")
            continue
        turns = [_read_turn(each) for each in _given(value) if isinstance(each, dict)]
        if system := text_of(value.get("system")):
            turns.insert(0, Turn("system", system))
        chosen, rejected = value.get("chosen"), value.get("rejected")
        other = None
        if isinstance(chosen, dict):
            turns.append(_read_turn(chosen))
            other = text_of(rejected.get("value")) if isinstance(rejected, dict) else None
        chat = chat_of(SOURCE, value, turns, other)
        yield chat if chat.messages else Skipped(f"number {number} of {source.stem}", "no one says anything in it")


def _given(value: dict[str, Any]) -> list[Any]:
    given = value.get("conversations", value.get("items"))
    return given if isinstance(given, list) else []


def _read_turn(turn: dict[str, Any]) -> Turn:
    role = ROLES.get(text_of(turn.get("from")).lower(), "tool")
    content = turn.get("value")
    return Turn(role, text_of(content), None if role != "tool" and isinstance(content, str) else turn)
