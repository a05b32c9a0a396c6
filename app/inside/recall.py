"""The prompt of a stored answer, made again from the messages before it and proven by its digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.answer import PROMPT_DIGEST, SYSTEM_PROMPT, WITHOUT_TOKENS, prompt_digest
from app.backend import Backend, NoTokenizer
from app.context import CONTEXT_FROM, SIGHT, Sight, TokenCounts, see, see_again
from app.store import Message, Store
from engine import EngineError

if TYPE_CHECKING:
    from engine import Engine


@dataclass(frozen=True, slots=True)
class Recalled:
    """path: the messages before the answer. prompt: those its model saw, as a template takes them. ids: as tokens,
    None where they cannot be told. exact: whether these are proven to be the very ones; None where nothing was kept to
    prove it by. note: one line on what is not certain.
    """

    path: Sequence[Message]
    sight: Sight
    sight_known: bool
    prompt: list[dict[str, str]]
    ids: list[int] | None
    exact: bool | None
    note: str | None


def recall(store: Store, backend: Backend | None, message: Message) -> Recalled:
    """What an answer was an answer to. backend: makes the tokens; None where there is none."""
    conversation = store.conversations.get(message.conversation_id)
    path = store.messages.path(message.conversation_id, leaf_id=message.parent_id) if message.parent_id else []
    # An answer of the model was made with its own system prompt; a text by hand is asked about with the present one.
    system_prompt = str(message.extra.get(SYSTEM_PROMPT, "")) if message.model else conversation.system_prompt
    record = message.extra.get(SIGHT)
    if isinstance(record, dict):
        sight = see_again(path, system_prompt, record)
    else:
        begins = message.extra.get(CONTEXT_FROM)
        sight = see(
            path, system_prompt=system_prompt, policy="drop_oldest", backend=None, counts=TokenCounts(), begins=begins
        )
    prompt: list[dict[str, str]] = list(sight.prompt)
    if by_hand := int(message.extra.get(WITHOUT_TOKENS) or 0):
        prompt.append({"role": "assistant", "content": message.content[:by_hand]})
    ids, note = _tokens(backend, prompt)
    exact = None
    told = message.extra.get(PROMPT_DIGEST)
    if ids is not None and told:
        exact = prompt_digest(ids).get(PROMPT_DIGEST) == told
        if not exact:
            note = (
                "the prompt cannot be made again as it was: a message before it was deleted or continued since, or its "
                "template has changed, or has the date in it"
            )
    elif ids is not None and message.model:
        note = "nothing was kept to prove the prompt by: it is as it would be made today"
    return Recalled(path, sight, isinstance(record, dict), prompt, ids, exact, note)


def answer_tokens(engine: Engine, recalled: Recalled, message: Message) -> list[int]:
    """A text that came without tokens, as the model's tokens after its prompt; raises EngineError."""
    before = recalled.ids or []
    begun: dict[str, str] = {"role": "assistant", "content": message.content}
    if message.reasoning:
        begun["reasoning_content"] = message.reasoning
    whole = engine.chat_tokens([*recalled.prompt, begun])
    if whole[: len(before)] == before and len(whole) > len(before):
        return whole[len(before) :]
    # The template writes answers in another way than it has the model begin them.
    return engine.tokenize_within(message.content)


def _tokens(backend: Backend | None, prompt: list[dict[str, str]]) -> tuple[list[int] | None, str | None]:
    if backend is None:
        return None, "no model is loaded that could make the prompt again"
    if not prompt:
        return [], None
    try:
        return backend.chat_tokens(prompt), None
    except (NoTokenizer, EngineError) as error:
        return None, " ".join(str(error).split())
