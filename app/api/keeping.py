"""Chats over the API that are kept, because the key says so."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from app.answer import SYSTEM_PROMPT, WITHOUT_TOKENS
from app.backend import BackendRun, Message
from app.live import LiveRun
from app.store import Conversation, NotFound, Store, StoreError
from app.store.conversations import MAX_TAG
from app.store.presets import plain_settings
from app.store.records import Status
from app.titles import title_of
from engine import EngineInfo, Sampling

# In `extra` of a message: what stood before it that is no text, calls of functions and what came of them.
TOOL_MESSAGES = "tool_messages"
SOURCE = "api"

log = logging.getLogger(__name__)


class Keeper(NamedTuple):
    """Where the chats of a key are kept: its owner's store, with its name as their tag."""

    store: Store
    key: str

    def follow(self, messages: Sequence[Message], sampling: Sampling, info: EngineInfo, answers: int) -> KeptExchange:
        return KeptExchange(self, messages, sampling, info, answers)


class _Place(NamedTuple):
    """Where answers stand: in which chat, below which message, and what is no text between that and them."""

    conversation: Conversation
    parent: str | None
    waiting: list[Message]


class KeptExchange:
    """What a request said, written to the store by `ask`, and its answers, when the last of them has ended.

    A request whose messages begin with those of a kept chat and its latest answer goes on with that chat; any other
    begins one. answers: how many there will be. Safe to use from many threads.
    """

    def __init__(
        self, keeper: Keeper, messages: Sequence[Message], sampling: Sampling, info: EngineInfo, answers: int
    ) -> None:
        self._store, self._key = keeper
        prefilled = bool(messages) and messages[-1]["role"] == "assistant"
        self._begun = str(messages[-1].get("content") or "") if prefilled else ""
        self._messages = list(messages[:-1] if prefilled else messages)
        self._sampling = sampling
        self._info = info
        self._lock = threading.Lock()
        self._place: _Place | None = None
        self._answers: list[tuple[LiveRun, str | None] | None] = [None] * answers
        self._calls: list[list[Mapping[str, Any]]] = [[] for _ in range(answers)]

    def ask(self) -> None:
        """The answers are being made: write what was said. If the disk refuses it, it is written with them."""
        try:
            with self._store.transaction():
                self._place = self._chat()
        except StoreError as failure:
            log.warning("a chat of the API's key %r is not kept yet: %s", self._key, failure)

    def begin(self, run: BackendRun) -> LiveRun:
        """What is to be given the steps of a run."""
        live = LiveRun("", "")
        live.attach(run, self._info)
        return live

    def ended(self, index: int, live: LiveRun, calls: Sequence[Mapping[str, Any]], error: str | None) -> None:
        """An answer is there, or failed. calls: of functions, as the API tells them."""
        with self._lock:
            self._answers[index] = live, error
            self._calls[index] = list(calls)
            if not all(self._answers):
                return
        try:
            with self._store.transaction():
                self._write(self._place or self._chat())
        except NotFound:
            log.info("a chat of the API's key %r was deleted while it was being answered", self._key)
        except StoreError as failure:
            log.error("a chat of the API's key %r is not kept: %s", self._key, failure)

    def _write(self, place: _Place) -> None:
        conversation, parent, waiting = place
        system = conversation.system_prompt
        for (live, error), calls in zip(filter(None, self._answers), self._calls, strict=True):
            columns = live.columns()
            text = self._begun + columns["content"]
            columns["content"] = text or _written(calls)
            extra: dict[str, Any] = {SYSTEM_PROMPT: system} if system else {}
            extra |= {"error": error} if error else {}
            extra |= {WITHOUT_TOKENS: len(self._begun)} if self._begun else {}
            told = [*waiting, {"role": "assistant", "tool_calls": calls}] if calls else waiting
            extra |= {TOOL_MESSAGES: told} if told else {}
            leaf = self._store.messages.add(
                conversation.id,
                parent_id=parent,
                role="assistant",
                status=_status(live, error),
                settings=plain_settings(self._sampling.to_dict()),
                extra=extra,
                **columns,
            ).id
        # Of several answers the client goes on with whichever it likes; the last is shown, and found again.
        said = {"role": "assistant", "content": text, "tool_calls": calls}
        self._store.conversations.mark(conversation.id, f"{SOURCE}:{_digest([*self._messages, said])}:{leaf}")

    def _chat(self) -> _Place:
        """The chat that the request goes on with, all but the answers added to it."""
        last = max((at for at, each in enumerate(self._messages) if each["role"] == "assistant"), default=-1)
        mark = f"{SOURCE}:{_digest(self._messages[: last + 1])}:"
        found = self._store.conversations.marked(mark) if last >= 0 else None
        if found is not None:
            answer = str(found.external_id).rpartition(":")[2]
            try:
                self._store.branches.present(answer)
                return _Place(found, *self._add(found, answer, self._messages[last + 1 :]))
            except NotFound:
                # Deleted on the page meanwhile.
                pass
        texts = {role: [_text(each) for each in self._messages if each["role"] == role] for role in ("system", "user")}
        conversation = self._store.conversations.create(
            title=title_of(texts["user"][0] if texts["user"] else self._key),
            title_by="first words",
            system_prompt="\n\n".join(texts["system"]),
        )
        self._store.conversations.tag(conversation.id, [self._key[:MAX_TAG]])
        said = [each for each in self._messages if each["role"] != "system"]
        return _Place(conversation, *self._add(conversation, None, said))

    def _add(
        self, conversation: Conversation, parent: str | None, messages: Sequence[Message]
    ) -> tuple[str | None, list[Message]]:
        """Add messages below one; the last, and what is no text after it: it is kept beside what follows."""
        waiting: list[Message] = []
        for message in messages:
            if message["role"] not in ("user", "assistant") or not _text(message):
                waiting.append(message)
                continue
            extra = {TOOL_MESSAGES: waiting} if waiting else {}
            parent = self._store.messages.add(
                conversation.id, parent_id=parent, role=message["role"], content=_text(message), extra=extra
            ).id
            waiting = []
        return parent, waiting


def _text(message: Message) -> str:
    return str(message.get("content") or "")


def _written(calls: Sequence[Mapping[str, Any]]) -> str:
    """Calls of functions as a text, for an answer that has no other."""
    lines = [f"{call['function']['name']}({call['function']['arguments']})" for call in calls]
    return "```\n" + "\n".join(lines) + "\n```" if lines else ""


def _status(live: LiveRun, error: str | None) -> Status:
    if error is not None:
        return "error"
    return "stopped" if live.finish_reason in (None, "cancelled") else "complete"


def _digest(messages: Sequence[Message]) -> str:
    """Of what was said, by which a chat is known again: clients send everything each time, but for thoughts and ids."""
    said = [
        (each["role"], _text(each).strip(), [call["function"] for call in each.get("tool_calls") or ()])
        for each in messages
    ]
    return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()
