"""The tokens of an answer with their probabilities: as a table for a page, and one of them in detail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.backend import Backend, NoTokenizer
from app.inside.branching import BRANCH, BY_HAND
from app.inside.candidates import candidate_views, stored_candidates
from app.inside.errors import SCORED, NotPossible, checked_index, opened, tokens_digest
from app.inside.pieces import alternative, pieces
from app.inside.recall import Recalled, answer_tokens, recall
from app.inside.walk import Walk
from app.store import Message, Store
from app.store.text import now
from app.store.tokens import TokenLog, TokenProbability, unpack_ids, unpack_logprobs
from engine import EngineError, Sampling

if TYPE_CHECKING:
    from engine import Engine

MOST = 20_000


class Tokens:
    """The token record of the answers of one store."""

    def __init__(self, store: Store, backend: Backend, walk: Walk) -> None:
        self._store = store
        self._backend = backend
        self._walk = walk

    def table(self, message_id: str, first: int = 0, count: int = MOST) -> dict[str, Any]:
        """The tokens from number `first` on, in columns; see docs/inside.md. Raises NotFound."""
        message = self._store.branches.present(message_id)
        if not self._own(message):
            # Tokens of another model's vocabulary are no text here.
            return self._table(message, [], [], 0, 0)
        ids, known = unpack_ids(message.token_ids), unpack_logprobs(message.token_logprobs)
        try:
            return self._table(message, ids, known, first, count)
        except NoTokenizer:
            return self._table(message, [], [], 0, 0)

    def score(self, message_id: str, *, store: bool) -> dict[str, Any]:
        """The same with probabilities computed now, of whatever text; kept only if `store`, where there were none.

        Raises NotPossible, EngineError.
        """
        message = self._store.branches.present(message_id)
        engine = opened(self._backend)
        if store and message.token_ids and not self._own(message):
            raise NotPossible(
                f"the tokens of {message.model or 'another model'} stay as they are: score this without keeping it"
            )
        prompt, ids = self._read(message, engine)
        scores = engine.score([*prompt, *ids], first=len(prompt))
        known = [TokenProbability(each.logprob, each.top, each.entropy, each.rank) for each in scores]
        if store:
            message = self._keep(message, ids, known)
        return self._table(message, ids, known, 0, MOST) | {"computed": True}

    def detail(
        self, message_id: str, index: int, *, fresh: bool, settings: dict[str, Any] | None, count: int
    ) -> dict[str, Any]:
        """One token with its alternatives, as stored or computed anew; see docs/inside.md.

        Of a text whose tokens are not those of the loaded model, they are always computed. Raises NotPossible.
        """
        message = self._store.branches.present(message_id)
        sampling = Sampling.from_dict({**message.settings, **(settings or {})})
        known: list[TokenProbability] = []
        prompt: list[int] | None = None
        if self._own(message) and message.token_ids:
            ids, known = unpack_ids(message.token_ids), unpack_logprobs(message.token_logprobs)
        else:
            fresh = True
            prompt, ids = self._read(message, opened(self._backend))
        checked_index(index, len(ids))
        before, chosen = ids[:index], ids[index]
        view = {"index": index, "settings": shown_settings(sampling)} | alternative(self._backend, before, chosen)
        if not fresh:
            stored = known[index] if known else TokenProbability(None)
            found = stored_candidates(chosen, stored, sampling)
            view |= {"logprob": stored.logprob, "rank": stored.rank, "entropy": stored.entropy, "source": "stored"}
            return view | {"candidates": candidate_views(self._backend, before, found), "kept": None}
        if prompt is None:
            opened(self._backend)
            prompt = self.recalled(message).ids or []
        seen = self._walk.look([*prompt, *before])
        shaped = seen.distribution.shaped(sampling, prompt=prompt, answer=before, count=count, also=[chosen])
        return view | {
            "logprob": seen.distribution.logprob(chosen),
            "rank": seen.distribution.rank(chosen),
            "entropy": seen.distribution.entropy,
            "source": "fresh",
            "reused": seen.reused,
            "candidates": candidate_views(self._backend, before, shaped.candidates, chosen),
            "kept": shaped.kept,
        }

    def recalled(self, message: Message) -> Recalled:
        """The prompt of an answer; raises NotPossible where it cannot be told."""
        recalled = recall(self._store, self._backend, message)
        if recalled.ids is None:
            raise NotPossible(recalled.note or "the prompt of this answer is not known")
        return recalled

    def _own(self, message: Message) -> bool:
        """Whether the tokens of an answer, if it has any, are of the loaded model."""
        return tokens_digest(message) == self._backend.info.digest

    def _read(self, message: Message, engine: Engine) -> tuple[list[int], list[int]]:
        """The prompt of a finished answer and the answer, whatever wrote it, as tokens of the loaded model."""
        if message.role != "assistant" or message.status == "streaming":
            raise NotPossible("only a finished answer is scored")
        recalled = recall(self._store, engine, message)
        if not recalled.ids:
            raise NotPossible(recalled.note or "this answer has no question before it: nothing tells how likely it is")
        ids = unpack_ids(message.token_ids) if self._own(message) else []
        return recalled.ids, ids or answer_tokens(engine, recalled, message)

    def _keep(self, message: Message, ids: list[int], known: list[TokenProbability]) -> Message:
        """Keep what was found of the tokens of which nothing was known."""
        before = unpack_logprobs(message.token_logprobs)
        if before and all(each.logprob is not None for each in before):
            return message
        log = TokenLog()
        for place, (id, probability) in enumerate(zip(ids, known, strict=True)):
            stored = before[place] if place < len(before) else None
            log.append(id, *(stored if stored and stored.logprob is not None else probability))
        info = self._backend.info
        scored = {"at": now(), "model": info.name, "digest": info.digest}
        columns = {"token_ids": log.ids(), "token_logprobs": log.logprobs(), "extra": message.extra | {SCORED: scored}}
        return self._store.messages.update(message.id, **columns)

    def _table(
        self, message: Message, ids: list[int], known: list[TokenProbability], first: int, count: int
    ) -> dict[str, Any]:
        first, count = max(0, first), max(0, min(count, MOST))
        found = pieces(self._backend, ids, begins=True)
        part = slice(first, first + count)
        rows = known[part] if known else [TokenProbability(None)] * len(ids[part])
        broken = {str(place): each.data.hex(" ") for place, each in enumerate(found[part], first) if each.broken}
        return {
            "message": message.id,
            "count": len(ids),
            "from": first,
            "scored": message.extra.get(SCORED),
            "probabilities": any(row.logprob is not None for row in known),
            "can_score": self._why_not_scored(message),
            "can_keep": not message.token_ids or self._own(message),
            "branch": message.extra.get(BRANCH),
            "by_hand": message.extra.get(BY_HAND, []),
            "ids": ids[part],
            "texts": [piece.text for piece in found[part]],
            "control": [place for place, piece in enumerate(found[part], first) if piece.control],
            "bytes": broken,
            "logprobs": [_rounded(row.logprob) for row in rows],
            "ranks": [row.rank for row in rows],
            "entropies": [_rounded(row.entropy) for row in rows],
        }

    def _why_not_scored(self, message: Message) -> str | None:
        """One line why an answer cannot be scored; None if it can."""
        try:
            opened(self._backend)
        except (NotPossible, EngineError) as error:
            return str(error)
        return None if message.role == "assistant" else "only answers are scored"


def shown_settings(sampling: Sampling) -> dict[str, Any]:
    """The settings that decide among the candidates."""
    names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")
    return {name: getattr(sampling, name) for name in names}


def _rounded(value: float | None) -> float | None:
    """Five digits: a page shows three. JSON has no infinity."""
    return None if value is None else max(-9999.0, round(value, 5))
