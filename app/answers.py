"""The answers under way: one at a time in a conversation, many side by side."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from app.answer import Answer, ModelSource, Question
from app.chat_errors import ChatError, ConversationBusy
from app.context import TokenCounts
from app.live import LiveRun
from app.saver import Saver
from app.store import Store, StoreError
from app.store.messages import Growth
from app.store.records import Message

KEEP_SECONDS = 60.0

log = logging.getLogger(__name__)


class Answers:
    """Starts answers, each on a thread of its own, and knows them until a minute after their end.

    lock: held by whoever admits a message and starts its answer, so that no other comes between. begun, ended: called
    with the live run of an answer just before it starts, and after it has ended; they must not take long.
    """

    def __init__(self, store: Store, models: ModelSource) -> None:
        self.lock = threading.Lock()
        self.begun: list[Callable[[LiveRun], None]] = []
        self.ended: list[Callable[[LiveRun], None]] = []
        self.counts = TokenCounts()
        self._store = store
        self._models = models
        self._saver = Saver(store)
        self._answers: dict[str, Answer] = {}
        self._closed = False

    def admit(self, conversation_id: str | None) -> None:
        """Raises ConversationBusy, or ChatError once closed; with `lock` held."""
        if self._closed:
            raise ChatError("Fireside is shutting down: start it again to go on")
        if conversation_id is not None and self._running_in(conversation_id):
            raise ConversationBusy
        for message_id, answer in list(self._answers.items()):
            finished_at = answer.live.finished_at
            if finished_at is not None and finished_at < monotonic() - KEEP_SECONDS:
                del self._answers[message_id]

    def start(self, message: Message, question: Question, extra: dict[str, Any]) -> None:
        """Have a message answered that is in the store for good; with `lock` held."""
        live = LiveRun(message.conversation_id, message.id, question.continued)
        answer = Answer(live, self._models, self._saver, self.counts, question, extra, self._tell_ended)
        self._answers[message.id] = answer
        for callback in self.begun:
            callback(live)
        try:
            answer.start()
        except RuntimeError as error:
            answer.finish("error", f"the answer could not be started ({error}): try again when others ended")

    def live(self, message_id: str) -> LiveRun | None:
        """The run of an answer, if it is under way or ended within the last minute."""
        with self.lock:
            answer = self._answers.get(message_id)
            return answer.live if answer else None

    def live_in(self, conversation_id: str) -> LiveRun | None:
        """The run that is under way in a conversation; the first begun of several that are compared."""
        with self.lock:
            return self._running_in(conversation_id)

    def all_in(self, conversation_id: str) -> list[LiveRun]:
        """All that are under way in a conversation."""
        with self.lock:
            answers = list(self._answers.values())
        return [each.live for each in answers if each.live.conversation_id == conversation_id and not each.live.done]

    @property
    def running(self) -> set[str]:
        """The conversations that are being answered."""
        with self.lock:
            return {answer.live.conversation_id for answer in self._answers.values() if not answer.live.done}

    @property
    def idle(self) -> bool:
        """Whether no answer is under way."""
        with self.lock:
            return all(answer.live.done for answer in self._answers.values())

    def stop_written(self) -> None:
        """Stop the answers a model writes; those that wait for one go on waiting."""
        with self.lock:
            running = [answer.live for answer in self._answers.values() if not answer.live.done]
        for live in running:
            if live.phase != "waiting":
                live.cancel()

    def close(self, timeout: float) -> None:
        """Take no more, end the answers under way and save what there is, marked interrupted."""
        deadline = monotonic() + timeout
        with self.lock:
            self._closed = True
            answers = list(self._answers.values())
        for answer in answers:
            answer.live.cancel("interrupted")
        for answer in answers:
            if answer.ident is not None:
                answer.join(max(0.0, deadline - monotonic()))
        self._saver.close()
        late = [answer.live for answer in answers if not answer.live.done]
        if late:
            log.error("%d answers did not end within %g s and are saved as they are", len(late), timeout)
            try:
                self._store.messages.grow(
                    [Growth(live.message_id, live.columns() | {"status": "interrupted"}) for live in late]
                )
            except StoreError as error:
                # What was saved of them before is there, and is marked interrupted at the next start.
                log.error("their ends are lost: %s", error)

    def _running_in(self, conversation_id: str) -> LiveRun | None:
        for answer in self._answers.values():
            if answer.live.conversation_id == conversation_id and not answer.live.done:
                return answer.live
        return None

    def _tell_ended(self, answer: Answer) -> None:
        for callback in self.ended:
            callback(answer.live)
