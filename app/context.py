"""What the model sees of a conversation: which of its messages are in the prompt, and why the others are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from app.backend import Backend, NoTokenizer
from app.store import Message
from app.store.records import ContextPolicy
from engine import ContextOverflow

# dropped: older than what fits. excluded: by the user. too long: a question that did not fit by itself. failed: an
# answer that ended in an error. empty: nothing in it.
Reason = Literal["dropped", "excluded", "too long", "failed", "empty"]

# In `extra` of an answer: its question did not fit; and the message its prompt begins with, where older ones were
# dropped.
OUT_OF_CONTEXT = "out_of_context"
CONTEXT_FROM = "context_from"
# In `extra` of an answer: what its prompt was made of; see `sight_record`.
SIGHT = "sight"

# The share of the context that is kept free for an answer as long as there are older turns to drop.
ANSWER_SHARE = 1 / 4
# Once the oldest turns have to go, more of them go than must: the next prompts then begin the same, and the engine
# reads but what is new in them, instead of all of it with every message.
KEPT_SHARE = 2 / 3
# A template's own tokens for a message, in the models of the catalog at most 8, and for the whole prompt.
MESSAGE_TOKENS = 8
PROMPT_TOKENS = 512
# Counts are of use while their conversation is: a long one has a thousand messages.
MAX_COUNTS = 20_000
# Where no tokenizer is at hand: fewer bytes than a token of text has in most languages, so that rather too many are
# counted.
ESTIMATED_BYTES = 3


@dataclass(frozen=True, slots=True)
class Sight:
    """What the model is asked, and how it came about.

    prompt: the messages as the template takes them. out: the ids of those that are not in it, and why. begins: id of
    the first message from which on nothing was dropped; None where nothing was. tokens: of the prompt, None where it
    was not counted.
    """

    prompt: list[dict[str, str]]
    out: Mapping[str, Reason]
    begins: str | None = None
    tokens: int | None = None


class TokenCounts:
    """How many tokens messages have, remembered for as long as they are of use. Safe to use from any thread."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}

    def of(self, backend: Backend, message: Message) -> int:
        """Tokens of the content alone."""
        # Content only ever grows, when an answer is continued.
        key = (backend.info.digest, message.id, len(message.content))
        if (count := self._counts.get(key)) is None:
            count = count_tokens(backend, message.content)
            if len(self._counts) >= MAX_COUNTS:
                self._counts.clear()
            self._counts[key] = count
        return count


def see(
    path: Sequence[Message],
    *,
    system_prompt: str,
    policy: ContextPolicy,
    backend: Backend | None,
    counts: TokenCounts,
    begins: str | None = None,
    answer_tokens: int = 0,
    room: int | None = None,
) -> Sight:
    """Choose what of a path the model sees, by the conversation's policy.

    `refuse` takes all that is not excluded. `drop_oldest` leaves out the oldest whole turns, a question with its
    answers, but not pinned messages, until a share of the context is free for the answer; from `begins` on if that
    fits, which is where the last prompt began. backend None: nothing is counted, `begins` decides alone.
    answer_tokens: that follow the prompt already. room: tokens to keep free for more.

    Raises ContextOverflow if not even the last turn fits.
    """
    out = left_out(path)
    seen = [message for message in path if message.id not in out]
    turns = _turns(seen)
    known = next((at for at, turn in enumerate(turns) if turn[0].id == begins), 0)
    if policy == "refuse":
        return Sight(_prompt(system_prompt, seen), out)
    if backend is None:
        return _cut(system_prompt, turns, known, out, None)

    limit = backend.info.context - 1 - answer_tokens
    free = int(backend.info.context * ANSWER_SHARE) if room is None else room
    budget = backend.info.context - free - answer_tokens
    if not known and _at_most_bytes(system_prompt, seen) <= budget:
        return Sight(_prompt(system_prompt, seen), out)

    def counted(cut: int) -> Sight:
        sight = _cut(system_prompt, turns, cut, out, None)
        return _cut(system_prompt, turns, cut, out, _prompt_tokens(backend, sight.prompt))

    # From the newest on, no further than what can fit: the cost does not grow with the conversation.
    sizes: list[int] = []
    total = 0
    for turn in reversed(turns[known:]):
        size = sum(counts.of(backend, message) for message in turn)
        sizes.append(size + MESSAGE_TOKENS * len(turn))
        total += size
        if total > budget:
            break
    else:
        sight = counted(known)
        if (sight.tokens or 0) <= budget:
            return sight
    pinned = sum(counts.of(backend, message) for message in seen if message.context == "pinned")
    cut = _first_that_fits(sizes, int(budget * KEPT_SHARE) - pinned, len(turns))
    sight = counted(cut)
    while (sight.tokens or 0) > budget and cut < len(turns) - 1:
        cut += 1
        sight = counted(cut)
    if (sight.tokens or 0) > limit:
        raise ContextOverflow((sight.tokens or 0) + answer_tokens + 1, backend.info.context)
    return sight


def sight_record(sight: Sight, path: Sequence[Message], policy: ContextPolicy) -> dict[str, Any]:
    """What `see_again` needs to make the same prompt of the path, whatever is pinned or excluded by then.

    policy: the conversation's. begins: see `Sight`. out: why messages are not in it, but for those that were dropped,
    which are all before `begins`; pinned: the ones before it that were not.
    """
    older = _before(path, sight.begins)
    return {
        "policy": policy,
        "begins": sight.begins,
        "out": {id: reason for id, reason in sight.out.items() if reason != "dropped"},
        "pinned": [message.id for message in older if message.id not in sight.out],
    }


def see_again(path: Sequence[Message], system_prompt: str, record: Mapping[str, Any]) -> Sight:
    """The sight that `sight_record` tells of."""
    # In a copied conversation the record names the originals.
    ids = {each.extra["copied_from"]: each.id for each in path if "copied_from" in each.extra}
    ids |= {each.id: each.id for each in path}
    known = record.get("out")
    out: dict[str, Reason] = {}
    if isinstance(known, dict):
        out |= {ids.get(id) or id: why for id, why in known.items()}
    begins = ids.get(record.get("begins") or "")
    pinned = {ids.get(id) for id in record.get("pinned") or ()}
    for message in _before(path, begins):
        if message.id not in pinned:
            out.setdefault(message.id, "dropped")
    return Sight(_prompt(system_prompt, [message for message in path if message.id not in out]), out, begins)


def _before(path: Sequence[Message], begins: str | None) -> Sequence[Message]:
    place = next((place for place, message in enumerate(path) if message.id == begins), 0)
    return path[:place]


def count_tokens(backend: Backend, text: str) -> int:
    """Tokens of a text; an estimate where the backend has no tokenizer."""
    try:
        return len(backend.tokenize(text))
    except NoTokenizer:
        return -(-len(text.encode("utf-8", "replace")) // ESTIMATED_BYTES)


def _prompt_tokens(backend: Backend, prompt: Sequence[Mapping[str, str]]) -> int:
    try:
        return len(backend.chat_tokens(prompt))
    except NoTokenizer:
        return sum(count_tokens(backend, message["content"]) + MESSAGE_TOKENS for message in prompt)


def left_out(path: Sequence[Message]) -> dict[str, Reason]:
    """Messages that are in no prompt, whatever fits.

    Answers that failed or are empty; stopped and interrupted ones stay as far as they got. So is a question that did
    not fit, once another follows: otherwise nothing could be asked after it.
    """
    too_long = {message.parent_id for message in path if message.extra.get(OUT_OF_CONTEXT)}
    out: dict[str, Reason] = {}
    for message in path:
        if message.context == "excluded":
            out[message.id] = "excluded"
        elif message.id in too_long:
            out[message.id] = "too long"
        elif message.role == "assistant" and message.status == "error":
            out[message.id] = "failed"
        elif not message.content and message.role == "assistant":
            out[message.id] = "empty"
    return out


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    """Each question with what follows it; what comes before the first is a turn too."""
    turns: list[list[Message]] = []
    for message in messages:
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def _cut(
    system_prompt: str, turns: Sequence[list[Message]], cut: int, out: Mapping[str, Reason], tokens: int | None
) -> Sight:
    """Without the turns before `cut`, but with what is pinned in them."""
    older = [message for turn in turns[:cut] for message in turn]
    dropped: dict[str, Reason] = {message.id: "dropped" for message in older if message.context != "pinned"}
    kept = [message for message in older if message.id not in dropped]
    kept += [message for turn in turns[cut:] for message in turn]
    begins = turns[cut][0].id if cut else None
    return Sight(_prompt(system_prompt, kept), {**out, **dropped}, begins, tokens)


def _first_that_fits(sizes: Sequence[int], target: int, turns: int) -> int:
    """The earliest turn from which on all fit into the target; the last one at the latest. sizes: newest first."""
    total, cut = 0, turns
    for size in sizes:
        if total + size > target:
            break
        total, cut = total + size, cut - 1
    return max(0, min(cut, turns - 1))


def _prompt(system_prompt: str, messages: Sequence[Message]) -> list[dict[str, str]]:
    """The messages as a template takes them: many refuse two of one role in a row, so these become one."""
    prompt = [{"role": "system", "content": system_prompt}] if system_prompt.strip() else []
    for role, group in groupby(messages, lambda message: message.role):
        merged = list(group)
        prompt.append({"role": role, "content": "\n\n".join(message.content for message in merged)})
        # What of it the model sees is for its template to say: most leave out all but the last answer's.
        if thoughts := [message.reasoning for message in merged if message.reasoning]:
            prompt[-1]["reasoning_content"] = "\n\n".join(thoughts)
    return prompt


def _at_most_bytes(system_prompt: str, messages: Sequence[Message]) -> int:
    """More tokens than the prompt can have, without counting: a token is at least one byte."""
    size = len(system_prompt.encode()) + PROMPT_TOKENS
    return size + sum(
        len(message.content.encode()) + len((message.reasoning or "").encode()) + MESSAGE_TOKENS for message in messages
    )
