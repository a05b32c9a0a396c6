"""The rows of the database as frozen records; field names are the columns' names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal, Self

from app.store.text import from_json

Role = Literal["system", "user", "assistant"]
Status = Literal["streaming", "complete", "stopped", "interrupted", "error"]
ContextPolicy = Literal["drop_oldest", "refuse"]
# Of one message in the prompts: always in, never in; None leaves it to the conversation's policy.
InContext = Literal["pinned", "excluded"]
TitleBy = Literal["user", "first words", "model"]

JSON_COLUMNS = frozenset({"settings", "engine", "extra", "before", "after"})
BOOLEAN_COLUMNS = frozenset({"pinned", "archived", "builtin", "edited", "keep", "admin"})


@dataclass(frozen=True, slots=True)
class Record:
    """A row; JSON columns are dicts, flags are bools, times are ISO 8601 strings in UTC."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Build from a row that has the record's columns, in any order; other columns are left aside."""
        return cls(*[read(row[name]) if read else row[name] for name, read in _readers(cls)])


@cache
def _readers(record: type[Record]) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    """The columns in the order of the fields, and what makes a field of each; None leaves it as it is."""
    return tuple(
        (name, from_json if name in JSON_COLUMNS else bool if name in BOOLEAN_COLUMNS else None)
        for name in column_names(record)
    )


@dataclass(frozen=True, slots=True)
class Conversation(Record):
    """A tree of messages, with one current leaf.

    updated_at: when a message was last added. deleted_at: set while it is in the trash.
    settings: overrides of the preset, by the names of `engine.Sampling`. context_policy: what happens when the
    messages exceed the context. title_by: who wrote the title; a user's own is never replaced.
    """

    id: str
    title: str
    created_at: str
    updated_at: str
    pinned: bool
    archived: bool
    deleted_at: str | None
    current_message_id: str | None
    system_prompt: str
    preset_id: str | None
    settings: dict[str, Any]
    owner: str | None
    external_id: str | None
    context_policy: ContextPolicy
    title_by: TitleBy


@dataclass(frozen=True, slots=True)
class Message(Record):
    """A node of the tree; an answer carries everything needed to repeat it.

    settings: all that was used, by the names of `engine.Sampling`. seed: the real one. engine: version,
    device, kernels and so on. Times are in milliseconds. token_ids, token_logprobs: see `app.store.tokens`.
    deleted_at: set while it is in the trash. context: see `InContext`. edited: written by a person in place of
    another version.
    extra: `error` is the one line of an answer that failed, `system_prompt` the one in force; more of what an answer
    was made with is described in `app.answer`.
    """

    id: str
    conversation_id: str
    parent_id: str | None
    role: Role
    content: str
    reasoning: str | None
    created_at: str
    status: Status
    finish_reason: str | None
    model: str | None
    model_digest: str | None
    settings: dict[str, Any]
    seed: int | None
    engine: dict[str, Any]
    prompt_tokens: int | None
    cached_tokens: int | None
    new_tokens: int | None
    queue_ms: float | None
    prefill_ms: float | None
    decode_ms: float | None
    ttft_ms: float | None
    token_ids: bytes | None
    token_logprobs: bytes | None
    edited: bool
    extra: dict[str, Any]
    external_id: str | None
    deleted_at: str | None
    context: InContext | None

    @property
    def tokens_per_second(self) -> float:
        """Speed of decoding, 0 where unknown; the first token belongs to the prefill."""
        if not self.new_tokens or self.new_tokens < 2 or not self.decode_ms:
            return 0.0
        return (self.new_tokens - 1) * 1000 / self.decode_ms


@dataclass(frozen=True, slots=True)
class Preset(Record):
    """Named sampling settings."""

    id: str
    name: str
    settings: dict[str, Any]
    created_at: str
    updated_at: str
    builtin: bool


@dataclass(frozen=True, slots=True)
class Event(Record):
    """Something that was done to a conversation and can be undone.

    before, after: what it changed, as columns of the conversation, or as the kind of event needs it. undone_at: set
    once it has been undone.
    """

    id: str
    created_at: str
    kind: str
    conversation_id: str
    before: dict[str, Any]
    after: dict[str, Any]
    undone_at: str | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A message found by a search. pieces: its snippet as (text, is a match) pairs, unescaped."""

    message_id: str
    conversation_id: str
    title: str
    role: Role
    created_at: str
    pieces: tuple[tuple[str, bool], ...]

    @property
    def snippet(self) -> str:
        """The snippet as plain text."""
        return "".join(text for text, _ in self.pieces)


@cache
def column_names(record: type[Record]) -> tuple[str, ...]:
    """The columns of a record's table, in order."""
    return tuple(field.name for field in fields(record))
