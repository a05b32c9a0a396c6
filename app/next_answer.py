"""What the next answer of a conversation will be made with: its settings, and what the model sees of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from app.answer import ModelSource
from app.backend import Backend
from app.context import CONTEXT_FROM, Sight, TokenCounts, see
from app.errors import AppError
from app.layers import Layers, layers_of, recommendation
from app.store import Conversation, Message, Store
from engine import EngineError, Sampling


class NextAnswer:
    """Tells it as far as it is known before the next message. Safe to use from any thread.

    counts: those of the answers made so far. Methods that take an id raise NotFound, also for what is in the trash.
    """

    def __init__(self, store: Store, models: ModelSource, counts: TokenCounts) -> None:
        self._store = store
        self._models = models
        self._counts = counts

    def of(self, store: Store) -> NextAnswer:
        """The same as one person sees it, by their store."""
        theirs = copy(self)
        theirs._store = store
        return theirs

    def recommendation(self) -> dict[str, Any]:
        """What the publisher of the loaded model recommends; empty while none is loaded."""
        backend = self._backend()
        return recommendation(backend.info if backend else None)

    def is_advised(self) -> bool:
        """Whether a model is loaded, whose publisher may recommend nothing."""
        return self._backend() is not None

    def ignored_advice(self) -> tuple[str, ...]:
        """What the publisher of the loaded model recommends and cannot be followed, a line each, and why."""
        backend = self._backend()
        return backend.info.ignored if backend else ()

    def settings(self, conversation_id: str) -> Layers:
        """The conversation's settings by layer, and all together; without the model's layer while none is loaded."""
        return self.layers(self._store.conversations.present(conversation_id))

    def layers(self, conversation: Conversation, once: Mapping[str, Any] | None = None) -> Layers:
        """The settings of an answer in a conversation. once: settings over all others, for this one alone.

        Raises InvalidSampling if they do not go together.
        """
        backend = self._backend()
        return layers_of(self._store, conversation, backend.info if backend else None, once or {})

    def settings_of(self, conversation: Conversation, answer: Message) -> Sampling:
        """What an answer was made with, its seed too; the conversation's settings for one that was made elsewhere."""
        if not answer.settings:
            return self.layers(conversation).effective
        seed = {} if answer.seed is None else {"seed": answer.seed}
        return Sampling.from_dict(answer.settings | seed)

    def sight(self, conversation_id: str, path: Sequence[Message] | None = None) -> Sight:
        """What the model will see of the current path with the next message, as far as that is known before it.

        path: the current one, where it has been read already.
        """
        conversation = self._store.conversations.present(conversation_id)
        path = self._store.messages.path(conversation.id) if path is None else path
        arguments: dict[str, Any] = {
            "system_prompt": conversation.system_prompt,
            "policy": conversation.context_policy,
            "counts": self._counts,
            "begins": began(path),
        }
        try:
            return see(path, backend=self._backend(), **arguments)
        except EngineError:
            # The last turn alone is too long, or an engine elsewhere does not answer; which older ones were dropped is
            # still true.
            return see(path, backend=None, **arguments)

    def _backend(self) -> Backend | None:
        """The model, if it is loaded."""
        try:
            return self._models.backend(timeout=0)
        except AppError:
            return None


def began(path: Sequence[Message]) -> str | None:
    """Where the prompt of the path's last answer began, if older messages were dropped from it."""
    answers = [message for message in path if message.role == "assistant"]
    return answers[-1].extra.get(CONTEXT_FROM) if answers else None
