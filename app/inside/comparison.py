"""Answers to one message that were made to be compared, and which of them was chosen."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from app.chat_errors import ChatError
from app.store import Message, Preset, Store
from app.store.text import now
from engine import Sampling

# In `extra` of an answer: the comparison's id, the label of this answer in it, and when it was chosen, if it was.
COMPARISON = "comparison"
MAX_PRESETS = 4
MAX_SWEEP = 16
# What the measure of likeness looks at of each answer: it takes the product of two lengths.
MAX_WORDS = 400


@dataclass(frozen=True, slots=True)
class Variation:
    """One way to answer. settings: over all others; source: the layer they come from; extra: for the message."""

    label: str
    settings: dict[str, Any]
    source: str = "message"
    extra: dict[str, Any] = field(default_factory=dict)


def presets_varied(presets: Sequence[Preset], below: Sequence[dict[str, Any]]) -> list[Variation]:
    """A variation for each preset, all with one seed, so that they differ by their settings alone.

    below: what each preset and the model together say. Raises ChatError unless there are two to four.
    """
    if not 2 <= len(presets) <= MAX_PRESETS:
        raise ChatError(f"two to {MAX_PRESETS} presets are compared, not {len(presets)}")
    seed = secrets.randbits(53)
    return [
        Variation(
            preset.name,
            # What a preset leaves open is for the conversation to say.
            {name: value for name, value in settings.items() if value is not None} | {"seed": seed},
            "preset",
            {"preset": preset.name},
        )
        for preset, settings in zip(presets, below, strict=True)
    ]


def swept(name: str, values: Sequence[Any]) -> list[Variation]:
    """A variation for each value of a setting; all but the seed's with one seed.

    Raises ChatError for too many or too few, InvalidSampling for what is none.
    """
    if not 2 <= len(values) <= MAX_SWEEP:
        raise ChatError(f"a sweep has 2 to {MAX_SWEEP} values, not {len(values)}")
    same = {} if name == "seed" else {"seed": secrets.randbits(53)}
    settings = [same | {name: value} for value in values]
    for each in settings:
        Sampling.from_dict(each)
    return [Variation(f"{name} {value}", each) for value, each in zip(values, settings, strict=True)]


def new_comparison() -> str:
    return secrets.token_hex(8)


def comparison_of(message: Message) -> str | None:
    """The id of the comparison an answer was made for."""
    told = message.extra.get(COMPARISON)
    return str(told.get("id")) if isinstance(told, dict) else None


def is_picked(message: Message) -> bool:
    """Whether the answer was chosen in its comparison."""
    told = message.extra.get(COMPARISON)
    return isinstance(told, dict) and bool(told.get("picked_at"))


def picked(message: Message, siblings: Sequence[Message]) -> Iterator[tuple[Message, dict[str, Any]]]:
    """The answers of the message's comparison with their `extra` once it is chosen; raises ChatError."""
    comparison = comparison_of(message)
    if comparison is None:
        raise ChatError("this answer was not compared with others: there is nothing to choose from")
    for sibling in siblings:
        if comparison_of(sibling) == comparison:
            told = {name: value for name, value in sibling.extra[COMPARISON].items() if name != "picked_at"}
            chosen = {"picked_at": now()} if sibling.id == message.id else {}
            yield sibling, sibling.extra | {COMPARISON: told | chosen}


def view(store: Store, message_id: str) -> dict[str, Any]:
    """The comparison that an answer is part of: its answers, and a summary once all have ended; raises ChatError."""
    message = store.branches.present(message_id)
    comparison = comparison_of(message)
    if comparison is None:
        raise ChatError("this answer was not compared with others")
    answers = [each for each in store.messages.siblings(message.id) if comparison_of(each) == comparison]
    ended = all(each.status != "streaming" for each in answers)
    return {
        "comparison": comparison,
        "conversation": message.conversation_id,
        "parent": message.parent_id,
        "answers": [
            {
                "message": each.id,
                "label": each.extra[COMPARISON].get("label", ""),
                "settings": {name: value for name, value in each.settings.items() if name != "seed"},
                "seed": None if each.seed is None else str(each.seed),
                "status": each.status,
                "error": each.extra.get("error"),
                "content": each.content,
                "tokens": each.new_tokens,
                "prompt_tokens": each.prompt_tokens,
                "cached_tokens": each.cached_tokens,
                "picked": is_picked(each),
            }
            for each in answers
        ],
        "summary": summary([each.content for each in answers]) if ended else None,
    }


def summary(texts: Sequence[str]) -> dict[str, Any]:
    """How much texts differ.

    distinct: how many are not the same. similarity: the mean share of words that two have in common in the same order,
    by difflib's ratio. first_difference: how many words all of them begin with. words: the least, mean and most.
    """
    words = [text.split() for text in texts]
    ratios = [
        difflib.SequenceMatcher(None, first[:MAX_WORDS], second[:MAX_WORDS], autojunk=False).ratio()
        for first, second in combinations(words, 2)
    ]
    shortest = min(map(len, words), default=0)
    common = next((at for at in range(shortest) if len({each[at] for each in words}) > 1), shortest)
    counts = [len(each) for each in words]
    least, most = min(counts, default=0), max(counts, default=0)
    return {
        "distinct": len(set(texts)),
        "similarity": round(sum(ratios) / len(ratios), 4) if ratios else 1.0,
        "first_difference": common,
        "words": {"least": least, "mean": round(sum(counts) / max(1, len(counts)), 1), "most": most},
    }


def difference(first: str, second: str) -> list[tuple[str, str]]:
    """Two texts as spans that are the `same`, `only_a` or `only_b`, by words."""
    a, b = _words(first), _words(second)
    spans: list[tuple[str, str]] = []
    for _, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b, autojunk=len(a) + len(b) > 4000).get_opcodes():
        left, right = "".join(a[a1:a2]), "".join(b[b1:b2])
        if left == right:
            spans.append(("same", left))
            continue
        spans += [(kind, text) for kind, text in (("only_a", left), ("only_b", right)) if text]
    return spans


def _words(text: str) -> list[str]:
    """With the white space after each."""
    found: list[str] = []
    for part in text.split(" "):
        found.append(part + " ")
    if found:
        found[-1] = found[-1][:-1]
    return [each for each in found if each]
