"""Stored answers made again from their records: identical, or the first token that differs."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from app.answer import CONTINUED_AT
from app.backend import Backend
from app.errors import AppError
from app.inside.branching import BY_HAND
from app.inside.errors import NotPossible, same_model
from app.inside.pieces import alternative
from app.inside.recall import recall
from app.store import Message, NotFound, Store
from app.store.tokens import ALTERNATIVES, TokenProbability, unpack_ids, unpack_logprobs
from engine import EngineError, Run, Sampling
from engine.info import NATIVE

if TYPE_CHECKING:
    from engine import Engine

Verdict = Literal["identical", "differs", "cannot"]
POLL_SECONDS = 0.1
# Replays that are remembered after their end.
REMEMBERED = 50
# What of an engine's record decides the last digits.
COMPUTED_WITH = {
    "version": "Fireside",
    "device": "device",
    "dtype": "precision",
    "quantization": "weights",
    "kernels": "kernels",
    "threads": "threads",
}

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Result:
    """verdict: `cannot` where the answer cannot be made again, for the reason in `note`. tokens: that were compared.
    at: the number of the first token that differs; stored, fresh: what was known of it, and what came instead.
    notes: what is not as it was when the answer was made, a line each.
    """

    message: str
    verdict: Verdict
    tokens: int = 0
    note: str | None = None
    notes: list[str] = field(default_factory=list)
    at: int | None = None
    stored: dict[str, Any] | None = None
    fresh: dict[str, Any] | None = None


class Replay:
    """One or several answers being made again; progress may be read and `cancel` called from any thread.

    changes: settings other than those the answers were made with. Raises NotFound, and InvalidSampling for these.
    """

    def __init__(
        self, store: Store, backend: Backend, ids: Sequence[str], changes: dict[str, Any] | None = None
    ) -> None:
        Sampling.from_dict(changes or {})
        self.id = secrets.token_hex(8)
        self.ids = tuple(ids)
        self.state: Literal["running", "done", "cancelled", "failed"] = "running"
        self.error: str | None = None
        self.done = 0
        self.results: list[Result] = []
        messages = [store.branches.present(id) for id in ids]
        self.total = sum(len(message.token_ids or b"") // 4 for message in messages)
        self._store = store
        self._backend = backend
        self._changes = changes or {}
        self._messages = messages
        self._run: Run | None = None
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        if run := self._run:
            run.cancel()

    def view(self) -> dict[str, Any]:
        """As JSON; see docs/inside.md."""
        results = [{name: getattr(each, name) for name in Result.__slots__} for each in self.results]
        return {
            "replay": self.id,
            "state": self.state,
            "error": self.error,
            "done": self.done,
            "total": self.total,
            "results": results,
        }

    def work(self) -> None:
        """Make them again, one after the other; what goes wrong with one is its result."""
        try:
            for message in self._messages:
                if self._cancelled:
                    break
                try:
                    self.results.append(self._replay(message))
                except (AppError, EngineError) as error:
                    if self._cancelled:
                        break
                    self.results.append(Result(message.id, "cannot", note=" ".join(str(error).split())))
            self.state = "cancelled" if self._cancelled else "done"
        except Exception as error:
            log.exception("the replay %s ended unexpectedly", self.id)
            self.state, self.error = "failed", " ".join(f"unexpected {type(error).__name__}: {error}".split())

    def _replay(self, message: Message) -> Result:
        engine = same_model(message, self._backend)
        if message.status == "streaming":
            raise NotPossible("this answer is still being written")
        if message.seed is None or not message.settings:
            raise NotPossible("no seed or settings were kept with this, so it cannot be made again: score it")
        recalled = recall(self._store, engine, message)
        if recalled.ids is None:
            raise NotPossible(recalled.note or "the prompt of this answer is not known")
        if recalled.exact is False:
            raise NotPossible(recalled.note or "the prompt of this answer is not what it was")
        ids, known = unpack_ids(message.token_ids), unpack_logprobs(message.token_logprobs)
        sampling = Sampling.from_dict(
            {**message.settings, "seed": message.seed, "logprobs": ALTERNATIVES, **self._changes}
        )
        result = Result(message.id, "identical", notes=_notes(message, engine))
        for start, end in _parts(message, len(ids)):
            self._run = run = engine.chat(recalled.prompt, sampling, answer=ids[:start])
            if self._cancelled:
                run.cancel()
            at = start
            try:
                for step in run:
                    if step.token is None or at >= end:
                        break
                    if step.token != ids[at]:
                        stored = known[at] if known else TokenProbability(None)
                        result.verdict, result.at = "differs", at
                        result.stored = _told(engine, ids[:at], ids[at], stored.logprob, stored.top)
                        result.fresh = _told(engine, ids[:at], step.token, step.logprob, step.top)
                        return result
                    at += 1
                    result.tokens += 1
                    self.done += 1
            finally:
                run.cancel()
            if self._cancelled:
                raise NotPossible("the replay was stopped")
            if at < end:
                result.verdict, result.at = "differs", at
                result.stored = _told(engine, ids[:at], ids[at], known[at].logprob if known else None, ())
                result.note = f"it ends after {at:,} tokens now"
                return result
        return result


class Replays:
    """The replays under way and those that ended last, each on a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._replays: dict[str, Replay] = {}

    def start(self, replay: Replay) -> Replay:
        with self._lock:
            for id in list(self._replays)[: max(0, len(self._replays) - REMEMBERED)]:
                self._replays.pop(id)
            self._replays[replay.id] = replay
        threading.Thread(target=replay.work, name="replay", daemon=True).start()
        return replay

    def get(self, id: str) -> Replay | None:
        with self._lock:
            return self._replays.get(id)


def followed(replay: Replay) -> Iterator[dict[str, Any]]:
    """A replay is done on a thread of its own while its views are iterated, the last of them once it has ended.

    Leaving off early cancels it.
    """
    Replays().start(replay)
    try:
        while replay.state == "running":
            yield replay.view()
            time.sleep(POLL_SECONDS)
        yield replay.view()
    finally:
        replay.cancel()


def answers_of(store: Store, conversation_id: str) -> list[str]:
    """The answers of a conversation that a model wrote, in all branches; raises NotFound."""
    store.conversations.get(conversation_id)
    return [each.id for each in store.messages.tree(conversation_id) if each.role == "assistant" and each.model]


def answers_named(store: Store, id: str) -> list[str]:
    """The answer with an id, or those of the conversation with it; raises NotFound, and NotPossible where none is."""
    if store.conversations.has(id):
        if not (answers := answers_of(store, id)):
            raise NotPossible("no model has answered in this conversation, so nothing can be made again")
        return answers
    try:
        message = store.branches.present(id)
    except NotFound:
        raise NotFound("answer or conversation", id) from None
    if message.role != "assistant":
        raise NotPossible("this message is not an answer: give the id of an answer, or of the conversation")
    return [message.id]


def _parts(message: Message, count: int) -> Iterator[tuple[int, int]]:
    """From which token to which an answer was made in one go: where it was continued, and after tokens by hand."""
    by_hand = [(int(first), int(number)) for first, number in message.extra.get(BY_HAND, ())]
    forced = {place for first, number in by_hand for place in range(first, first + number)}
    cuts = {int(at) for at in message.extra.get(CONTINUED_AT, ())} | {first for first, _ in by_hand}
    cuts |= {first + number for first, number in by_hand}
    edges = sorted({0, count, *(at for at in cuts if 0 < at < count)})
    for start, end in pairwise(edges):
        if start not in forced:
            yield start, end


def _notes(message: Message, engine: Engine) -> list[str]:
    """What computes differently now."""
    lines = []
    for name, what in COMPUTED_WITH.items():
        before, present = message.engine.get(name), getattr(engine.info, name)
        if before and before != present:
            lines.append(f"{what}: {before} then, {present} now, so the last digits may differ")
    then = {"kernels": engine.info.kernels, **message.engine}
    if not (_exact(then) and _exact({"kernels": engine.info.kernels, "deterministic": engine.info.deterministic})):
        lines.append("answers beside it may have changed its last digits: --deterministic rules that out")
    return lines


def _exact(record: Mapping[str, Any]) -> bool:
    """Whether what is computed beside an answer cannot change it."""
    return record.get("deterministic") is True or record.get("kernels") == NATIVE


def _told(
    engine: Engine, before: Sequence[int], token: int, logprob: float | None, top: Sequence[tuple[int, float]]
) -> dict[str, Any]:
    pairs = [alternative(engine, before, id) | {"logprob": max(-9999.0, value)} for id, value in top]
    return alternative(engine, before, token) | {"logprob": logprob, "top": pairs}
