"""One answer: asks the model, feeds the live run, and saves how it ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from app.backend import Backend
from app.errors import AppError
from app.live import LiveRun
from app.saver import SAVE_TOKENS, Saver
from app.store import Message
from app.store.messages import Growth
from app.store.records import Status
from app.store.tokens import ALTERNATIVES
from engine import ContextOverflow, EngineError, Sampling

MODEL_POLL_SECONDS = 0.1
# In `extra` of an answer whose question did not fit.
OUT_OF_CONTEXT = "out_of_context"

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


class Answer(threading.Thread):
    """The thread that writes one answer, from waiting for the model to the last save.

    messages: what the model is asked. extra: the message's `extra` column so far. However it goes, the
    message in the store ends with a status other than `streaming`, and the live run is done.
    """

    def __init__(
        self,
        live: LiveRun,
        models: ModelSource,
        saver: Saver,
        *,
        messages: Sequence[dict[str, str]],
        sampling: Sampling,
        extra: dict[str, Any],
    ) -> None:
        super().__init__(name=f"answer-{live.message_id}", daemon=True)
        self.live = live
        self._models = models
        self._saver = saver
        self._messages = messages
        self._sampling = sampling.replace(logprobs=ALTERNATIVES)
        self._extra = extra

    def run(self) -> None:
        live, error = self.live, None
        self._saver.watch(live)
        try:
            status = self._write()
        except ContextOverflow as overflow:
            self._extra |= {OUT_OF_CONTEXT: True}
            status, error = "error", f"{overflow}. The model does not see this message from now on."
        except (EngineError, AppError) as failure:
            # Whoever cancels may also close the engine under the run.
            status, error = live.cancelled or "error", " ".join(str(failure).split())
        except Exception as failure:
            log.exception("the answer %s ended unexpectedly", live.message_id)
            status, error = "error", " ".join(f"unexpected {type(failure).__name__}: {failure}".split())
        self.finish(status, error if status == "error" else None)

    def finish(self, status: Status, error: str | None) -> None:
        """Save the answer as it will stay and end the live run."""
        extra = self._extra | ({"error": error} if error else {})
        columns = self.live.columns() | {"status": status, "extra": extra}
        not_saved = self._saver.finish(self.live, Growth(self.live.message_id, columns))
        self.live.finish(error or not_saved)

    def _write(self) -> Status:
        backend = self._backend()
        if backend is None:
            return self.live.cancelled or "stopped"
        run = backend.chat(self._messages, self._sampling)
        self.live.attach(run, backend.info)
        for step in run:
            if self.live.push(step) >= SAVE_TOKENS:
                self._saver.hurry()
        if self.live.finish_reason is None:
            raise EngineError("the engine ended the answer without a reason: try again")
        return (self.live.cancelled or "stopped") if self.live.finish_reason == "cancelled" else "complete"

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


def prompt(system_prompt: str, path: Sequence[Message]) -> list[dict[str, str]]:
    """What the model is asked: the system prompt, if any, and the path.

    Answers that failed or are empty are left out; stopped and interrupted ones stay as far as they got. So is a
    question that did not fit, once another follows: otherwise nothing could be asked after it.
    """
    messages = [{"role": "system", "content": system_prompt}] if system_prompt.strip() else []
    unfit = {message.parent_id for message in path if message.extra.get(OUT_OF_CONTEXT)}
    for message in path:
        if message.id in unfit:
            continue
        if message.role != "assistant" or (message.content and message.status != "error"):
            messages.append({"role": message.role, "content": message.content})
    return messages
