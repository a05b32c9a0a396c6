"""The chat service: messages in, answers out, all of it in the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from app.answer import Answer, ModelSource, prompt
from app.errors import AppError
from app.live import LiveRun
from app.saver import Saver
from app.store import Conversation, NotFound, Store
from app.store.messages import Growth
from app.store.presets import DEFAULT_ID, plain_settings
from app.store.text import storable
from engine import Sampling

MAX_CHARACTERS = 1_000_000
TITLE_CHARACTERS = 48
KEEP_SECONDS = 60.0

log = logging.getLogger(__name__)


class ChatError(AppError):
    """A message that cannot be taken."""


class EmptyMessage(ChatError):
    """Nothing but white space."""

    def __init__(self) -> None:
        super().__init__("the message is empty: type something first")


class MessageTooLong(ChatError):
    """More characters than a message may have."""

    def __init__(self, characters: int) -> None:
        super().__init__(
            f"the message has {characters:,} characters, but at most {MAX_CHARACTERS:,} are possible: "
            "shorten it or send it in parts"
        )


class ConversationBusy(ChatError):
    """The conversation's last answer is still being written."""

    def __init__(self) -> None:
        super().__init__("this conversation is still being answered: wait for the end, or stop it first")


@dataclass(frozen=True, slots=True)
class Sent:
    """Where an exchange is kept. message_id: the answer's, which grows from now on."""

    conversation_id: str
    user_message_id: str | None
    message_id: str


class Chats:
    """Takes messages and has them answered, one answer at a time in a conversation, many side by side.

    A message is in the store before the model is asked. An answer runs on a thread of its own, whoever looks
    at it, until it ends or is stopped. Safe to use from any thread.
    """

    def __init__(self, store: Store, models: ModelSource) -> None:
        self._store = store
        self._models = models
        self._saver = Saver(store)
        self._lock = threading.Lock()
        self._answers: dict[str, Answer] = {}
        self._closed = False

    def send(
        self,
        conversation_id: str | None,
        text: str,
        *,
        settings: Mapping[str, Any] | None = None,
        system_prompt: str = "",
        preset_id: str | None = None,
    ) -> Sent:
        """Add a message below the current leaf and begin to answer it; None begins a conversation.

        settings, system_prompt and preset_id become the conversation's own; where not given, an existing
        conversation keeps what it has. Raises EmptyMessage, MessageTooLong, ConversationBusy, NotFound,
        InvalidSampling; nothing is stored then.
        """
        text = storable(text)
        if not text.strip():
            raise EmptyMessage
        if len(text) > MAX_CHARACTERS:
            raise MessageTooLong(len(text))
        with self._lock:
            self._admit(conversation_id)
            with self._store.transaction():
                conversation = self._conversation(conversation_id, text, settings, system_prompt, preset_id)
                question = self._store.messages.add(
                    conversation.id, parent_id=conversation.current_message_id, role="user", content=text
                )
                answer = self._begin(conversation, question.id)
            self._start(answer)
        return Sent(conversation.id, question.id, answer.live.message_id)

    def regenerate(self, message_id: str) -> Sent:
        """Answer again beside an answer, with the conversation's present settings; the old one is kept.

        Raises NotFound, ConversationBusy, InvalidSampling, ChatError for a message that is no answer.
        """
        message = self._store.messages.get(message_id)
        if message.role != "assistant":
            raise ChatError("only an answer can be made again: choose one of the model's messages")
        with self._lock:
            self._admit(message.conversation_id)
            with self._store.transaction():
                answer = self._begin(self._existing(message.conversation_id), message.parent_id)
            self._start(answer)
        return Sent(message.conversation_id, message.parent_id, answer.live.message_id)

    def stop(self, conversation_id: str) -> bool:
        """End the conversation's answer, in whatever phase; what there is of it is kept. False if none
        runs."""
        live = self.live_in(conversation_id)
        if live is None:
            return False
        live.cancel()
        return True

    def live(self, message_id: str) -> LiveRun | None:
        """The run of an answer, if it is under way or ended within the last minute."""
        with self._lock:
            answer = self._answers.get(message_id)
            return answer.live if answer else None

    def live_in(self, conversation_id: str) -> LiveRun | None:
        """The run that is under way in a conversation."""
        with self._lock:
            return self._running_in(conversation_id)

    def close(self, timeout: float = 5.0) -> None:
        """Take no more messages, end the answers under way and save what there is, marked interrupted."""
        deadline = monotonic() + timeout
        with self._lock:
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
            self._store.messages.grow(
                [Growth(live.message_id, live.columns() | {"status": "interrupted"}) for live in late]
            )

    def _admit(self, conversation_id: str | None) -> None:
        if self._closed:
            raise ChatError("Fireside is shutting down: start it again to go on")
        if conversation_id is not None and self._running_in(conversation_id):
            raise ConversationBusy
        for message_id, answer in list(self._answers.items()):
            finished_at = answer.live.finished_at
            if finished_at is not None and finished_at < monotonic() - KEEP_SECONDS:
                del self._answers[message_id]

    def _running_in(self, conversation_id: str) -> LiveRun | None:
        for answer in self._answers.values():
            if answer.live.conversation_id == conversation_id and not answer.live.done:
                return answer.live
        return None

    def _existing(self, conversation_id: str) -> Conversation:
        conversation = self._store.conversations.get(conversation_id)
        if conversation.deleted_at is not None:
            raise NotFound("conversation", conversation_id)
        return conversation

    def _conversation(
        self,
        conversation_id: str | None,
        text: str,
        settings: Mapping[str, Any] | None,
        system_prompt: str,
        preset_id: str | None,
    ) -> Conversation:
        conversations = self._store.conversations
        if conversation_id is None:
            return conversations.create(
                title=title_of(text), system_prompt=system_prompt, preset_id=preset_id, settings=settings
            )
        conversation = self._existing(conversation_id)
        if not conversation.title:
            conversations.rename(conversation_id, title_of(text))
        return conversations.configure(
            conversation_id,
            system_prompt=system_prompt or conversation.system_prompt,
            preset_id=preset_id or conversation.preset_id,
            settings=conversation.settings if settings is None else settings,
        )

    def _begin(self, conversation: Conversation, parent_id: str | None) -> Answer:
        """Add an empty answer below a message; to be started when the transaction around has committed."""
        sampling = self._sampling(conversation)
        path = self._store.messages.path(conversation.id, leaf_id=parent_id) if parent_id else []
        extra = {"system_prompt": conversation.system_prompt} if conversation.system_prompt else {}
        message = self._store.messages.add(
            conversation.id,
            parent_id=parent_id,
            role="assistant",
            status="streaming",
            settings=plain_settings(sampling.to_dict()),
            extra=extra,
        )
        return Answer(
            LiveRun(conversation.id, message.id),
            self._models,
            self._saver,
            messages=prompt(conversation.system_prompt, path),
            sampling=sampling,
            extra=extra,
        )

    def _start(self, answer: Answer) -> None:
        self._answers[answer.live.message_id] = answer
        try:
            answer.start()
        except RuntimeError as error:
            answer.finish("error", f"the answer could not be started ({error}): try again when others ended")

    def _sampling(self, conversation: Conversation) -> Sampling:
        preset = self._store.presets.get(conversation.preset_id or DEFAULT_ID)
        return Sampling.from_dict(preset.settings | conversation.settings)


def title_of(text: str) -> str:
    """The first words of a message as a title of at most 48 characters."""
    title = " ".join(text[: 20 * TITLE_CHARACTERS].split())
    if len(title) <= TITLE_CHARACTERS:
        return title
    # Where there is no space to cut at, as in Chinese, the characters themselves are cut.
    words = title[:TITLE_CHARACTERS].rpartition(" ")[0] or title[: TITLE_CHARACTERS - 1]
    return words.rstrip(" ,;:.-") + "…"
