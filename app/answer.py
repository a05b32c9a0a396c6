"""One answer: asks the model, feeds the live run, and saves how it ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Protocol

from app.backend import AnswerInterrupted, Backend, BackendRun
from app.context import (
    ANSWER_SHARE,
    CONTEXT_FROM,
    OUT_OF_CONTEXT,
    SIGHT,
    Sight,
    TokenCounts,
    count_tokens,
    see,
    see_again,
    sight_record,
)
from app.errors import AppError
from app.live import THOUGHT_MS, LiveRun
from app.saver import SAVE_TOKENS, Saver
from app.store import Message
from app.store.messages import Growth
from app.store.records import ContextPolicy, Status
from app.store.tokens import ALTERNATIVES
from engine import ContextOverflow, EngineClosed, EngineError, Sampling

MODEL_POLL_SECONDS = 0.1
# Of the context, left free once an engine elsewhere found a conversation too long that had seemed to fit.
TRIMMED_SHARE = 0.6
# In `extra` of an answer: its system prompt; which layer decided which of its settings, and the preset's
# name; the digest of its prompt's token ids; where it was continued, as numbers of tokens; and how many of its
# first characters no tokens are kept for, as they were written by hand or by another model.
SYSTEM_PROMPT = "system_prompt"
SETTINGS_FROM = "settings_from"
PRESET = "preset"
PROMPT_DIGEST = "prompt_digest"
CONTINUED_AT = "continued_at"
WITHOUT_TOKENS = "characters_without_tokens"

log = logging.getLogger(__name__)


class ModelSource(Protocol):
    """Where the backend comes from; `app.models.Models` is one."""

    @property
    def state(self) -> Any:
        """Its `status` is `failed` when waiting is of no use."""
        ...

    def backend(self, timeout: float | None = None) -> Backend:
        """The loaded model; raises an AppError when it failed or is not ready in time."""
        ...

    def retry(self) -> None:
        """Begin again after a failure; does nothing otherwise."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What an answer is an answer to.

    path: the messages before it, from the root. begins: where the last prompt of the path began, if older messages
    were dropped from it. continued: the answer itself, to go on with.
    """

    path: Sequence[Message]
    system_prompt: str
    policy: ContextPolicy
    sampling: Sampling
    begins: str | None = None
    continued: Message | None = None


class Answer(threading.Thread):
    """The thread that writes one answer, from waiting for the model to the last save.

    extra: the message's `extra` column so far. ended: called at the very end. However it goes, the message in the
    store ends with a status other than `streaming`, and the live run is done.
    """

    def __init__(
        self,
        live: LiveRun,
        models: ModelSource,
        saver: Saver,
        counts: TokenCounts,
        question: Question,
        extra: dict[str, Any],
        ended: Callable[[Answer], None] = lambda answer: None,
    ) -> None:
        super().__init__(name=f"answer-{live.message_id}", daemon=True)
        self.live = live
        self._models = models
        self._saver = saver
        self._counts = counts
        self._question = replace(question, sampling=question.sampling.replace(logprobs=ALTERNATIVES))
        self._extra = extra
        self._ended = ended
        self._trimmed = False

    def run(self) -> None:
        live, error = self.live, None
        self._saver.watch(live)
        try:
            status = self._write()
        except ContextOverflow as overflow:
            self._extra |= {OUT_OF_CONTEXT: True}
            status, error = "error", f"{overflow}. The model does not see this message from now on."
        except AnswerInterrupted as cut:
            status, error = live.cancelled or "interrupted", str(cut)
        except (EngineError, AppError) as failure:
            # Whoever cancels may also close the engine under the run.
            status, error = live.cancelled or "error", " ".join(str(failure).split())
        except Exception as failure:
            log.exception("the answer %s ended unexpectedly", live.message_id)
            status, error = "error", " ".join(f"unexpected {type(failure).__name__}: {failure}".split())
        self.finish(status, error if status in ("error", "interrupted") else None)

    def finish(self, status: Status, error: str | None) -> None:
        """Save the answer as it will stay and end the live run."""
        continued = self._question.continued
        if continued and status == "error" and not self.live.grown:
            # It could not be continued; what there is of it is as good as before.
            status = continued.status
        extra = self._extra | ({"error": error} if error else {})
        if self.live.thought_ms:
            extra[THOUGHT_MS] = round(self.live.thought_ms)
        columns = self.live.columns() | {"status": status, "extra": extra}
        not_saved = self._saver.finish(self.live, Growth(self.live.message_id, columns))
        self.live.finish(error or not_saved)
        self._ended(self)

    def _write(self) -> Status:
        asked: Backend | None = None
        while (backend := self._backend()) is not None:
            try:
                run = self._ask(backend)
                for step in run:
                    if self.live.push(step) >= SAVE_TOKENS:
                        self._saver.hurry()
                break
            except ContextOverflow:
                if not self._trim(backend):
                    raise
            except EngineClosed:
                # Another model is being loaded; as nothing was said yet, that one answers.
                if self.live.grown or self.live.cancelled or backend is asked:
                    raise
                self.live.detach()
                asked = backend
        else:
            return self.live.cancelled or "stopped"
        if self.live.finish_reason is None:
            raise EngineError("the engine ended the answer without a reason: try again")
        return (self.live.cancelled or "stopped") if self.live.finish_reason == "cancelled" else "complete"

    def _trim(self, backend: Backend) -> bool:
        """Whether the question can be asked once more with fewer of the older messages.

        An engine elsewhere may not tell how many tokens it takes, or count others than it refuses.
        """
        again = not self._trimmed and bool(backend.info.remote) and self._question.policy != "refuse"
        if not again or self.live.grown or self.live.cancelled:
            return False
        self._trimmed = True
        self.live.detach()
        return True

    def _ask(self, backend: Backend) -> BackendRun:
        """Begin the run and follow it."""
        question, continued = self._question, self._question.continued
        sampling = question.sampling
        tokens = self.live.token_ids
        if continued is None:
            sight = self._see(backend)
            run = backend.chat(sight.prompt, sampling)
            self._extra |= prompt_digest(run.prompt)
        elif tokens and continued.model_digest == backend.info.digest and not backend.info.remote:
            record = continued.extra.get(SIGHT)
            if isinstance(record, dict):
                sight = see_again(question.path, question.system_prompt, record)
            else:
                sight = self._see(backend, answer_tokens=len(tokens), room=1)
            run = backend.chat(sight.prompt, sampling, answer=tokens)
            self._extra[CONTINUED_AT] = [*continued.extra.get(CONTINUED_AT, ()), len(tokens)]
        else:
            sight = self._see(backend, answer_tokens=count_tokens(backend, continued.content))
            begun = {"role": "assistant", "content": continued.content}
            if continued.reasoning:
                begun["reasoning_content"] = continued.reasoning
            run = backend.chat([*sight.prompt, begun], sampling)
            self._extra |= {WITHOUT_TOKENS: len(continued.content)} | prompt_digest(run.prompt)
            self._extra[SIGHT] = sight_record(sight, question.path, question.policy)
            self.live.attach(run, backend.info, from_text=True)
            return run
        if sight.begins:
            self._extra[CONTEXT_FROM] = sight.begins
        self._extra[SIGHT] = sight_record(sight, question.path, question.policy)
        self.live.attach(run, backend.info)
        return run

    def _see(self, backend: Backend, answer_tokens: int = 0, room: int | None = None) -> Sight:
        question = self._question
        if room is None and question.sampling.max_tokens is not None:
            room = min(question.sampling.max_tokens, int(backend.info.context * ANSWER_SHARE))
        if self._trimmed:
            room = max(room or 0, int(backend.info.context * TRIMMED_SHARE))
        return see(
            question.path,
            system_prompt=question.system_prompt,
            policy=question.policy,
            backend=backend,
            counts=self._counts,
            begins=question.begins,
            answer_tokens=answer_tokens,
            room=room,
        )

    def _backend(self) -> Backend | None:
        """The model, as soon as it is ready; None if the run is cancelled before."""
        # Whoever asks after the network came back should not have to start Fireside again.
        self._models.retry()
        while not self.live.cancelled:
            try:
                return self._models.backend(timeout=MODEL_POLL_SECONDS)
            except AppError:
                if self._models.state.status == "failed":
                    raise
        return None


def prompt_digest(prompt: Sequence[int]) -> dict[str, str]:
    """Of a prompt's token ids, so that it can be told later whether it is made again; nothing where none are known."""
    if not prompt:
        return {}
    digest = blake2b(b"".join(id.to_bytes(4, "little") for id in prompt), digest_size=16).hexdigest()
    return {PROMPT_DIGEST: digest}
