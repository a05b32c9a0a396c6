"""Another token in the place of one: what a new version of an answer begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.answer import CONTINUED_AT, PRESET, PROMPT_DIGEST, SETTINGS_FROM, SYSTEM_PROMPT
from app.backend import Backend
from app.context import CONTEXT_FROM, SIGHT
from app.inside.errors import NotPossible, checked_index, same_model
from app.inside.pieces import pieces
from app.store import Message
from app.store.tokens import TokenLog, TokenProbability, unpack_ids, unpack_logprobs

if TYPE_CHECKING:
    from engine import Engine

# In `extra` of an answer: the version it branches from and at which token; and which of its tokens were chosen by hand,
# as [first, count] pairs.
BRANCH = "branch"
BY_HAND = "by_hand"
MAX_WORD = 200
# What a version takes over of how its answer was asked.
ASKED = (SYSTEM_PROMPT, SIGHT, CONTEXT_FROM, PROMPT_DIGEST, SETTINGS_FROM, PRESET)


@dataclass(frozen=True, slots=True)
class Branch:
    """columns: of the new message, which then goes on from its tokens."""

    columns: dict[str, Any]

    @classmethod
    def of(
        cls, message: Message, backend: Backend, index: int, token: int | None, text: str | None, *, several: bool
    ) -> Branch:
        """The branch of an answer at a token; raises NotPossible."""
        engine = same_model(message, backend)
        if message.status == "streaming":
            raise NotPossible("this answer is still being written: stop it first, or wait for its end")
        ids, known = unpack_ids(message.token_ids), unpack_logprobs(message.token_logprobs)
        checked_index(index, len(ids))
        forced = [_checked(engine, token)] if token is not None else word(engine, text or "", several=several)
        if forced[-1] in engine.eos_ids:
            raise NotPossible("this token ends the answer there: choose another, or edit the text to end it")
        log = TokenLog(max(len(known[0].top), 1) if known else 5)
        for each, probability in zip(ids[:index], known or [TokenProbability(None)] * len(ids), strict=False):
            log.append(each, *probability)
        log.append(forced[0], *_chosen(forced[0], known[index] if known else TokenProbability(None)))
        for each in forced[1:]:
            log.append(each, None)
        by_hand = [[first, min(count, index - first)] for first, count in _ranges(message) if first < index]
        extra = {name: message.extra[name] for name in ASKED if name in message.extra} | {
            BRANCH: {"from": message.id, "at": index, "forced": len(forced)},
            BY_HAND: [*by_hand, [index, len(forced)]],
            CONTINUED_AT: [at for at in message.extra.get(CONTINUED_AT, ()) if at < index],
        }
        return cls(
            {
                "token_ids": log.ids(),
                "token_logprobs": log.logprobs(),
                "model": engine.info.name,
                "model_digest": engine.info.digest,
                "settings": message.settings,
                "seed": message.seed,
                "new_tokens": len(log),
                "extra": extra,
            }
        )


def word(engine: Engine, text: str, *, several: bool) -> list[int]:
    """The tokens of the user's own word; raises NotPossible where it has none, or several that are not meant."""
    if len(text) > MAX_WORD:
        raise NotPossible(f"a word may have {MAX_WORD} characters, not {len(text):,}: edit the answer to write more")
    tokens = engine.tokenize_within(text) if text else []
    if not tokens:
        raise NotPossible("this is no token: type a word, or choose one of the alternatives")
    if len(tokens) > 1 and not several:
        shown = ", ".join(repr(each.text) if each.text else each.data.hex(" ") for each in pieces(engine, tokens[:8]))
        raise NotPossible(
            f"{text!r:.60} is {len(tokens)} tokens ({shown}): branch with all of them, or with the first alone"
        )
    return tokens


def _checked(engine: Engine, token: int) -> int:
    engine.token_bytes(token)  # raises InvalidPrompt
    return token


def _chosen(token: int, probability: TokenProbability) -> TokenProbability:
    """What is known of another token of the same distribution."""
    for place, (each, logprob) in enumerate(probability.top, 1):
        if each == token:
            return probability._replace(logprob=logprob, rank=place)
    return probability._replace(logprob=None, rank=None)


def _ranges(message: Message) -> list[tuple[int, int]]:
    found = message.extra.get(BY_HAND)
    return [(int(first), int(count)) for first, count in found] if isinstance(found, list) else []
