"""The chat service: messages in, answers out, all of it in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from app.answer import PRESET, SETTINGS_FROM, SYSTEM_PROMPT, ModelSource, Question
from app.answers import Answers
from app.chat_errors import (
    MAX_CHARACTERS,
    ChatError,
    ConversationBusy,
    EmptyMessage,
    MessageTooLong,
)
from app.context import CONTEXT_FROM
from app.copying import copy_conversation
from app.inside.branching import Branch
from app.inside.comparison import COMPARISON, Variation, new_comparison, picked
from app.layers import sources
from app.live import LiveRun
from app.next_answer import NextAnswer, began
from app.store import Conversation, Message, Store
from app.store.events import EDIT_MESSAGE
from app.store.presets import plain_settings
from app.store.records import ContextPolicy
from app.store.text import storable
from app.titles import title_of

__all__ = [
    "MAX_CHARACTERS",
    "ChatError",
    "Chats",
    "ConversationBusy",
    "EmptyMessage",
    "MessageTooLong",
    "Sent",
]

# How an answer may have ended that can be continued.
UNFINISHED = frozenset({"stopped", "interrupted", "error"})


@dataclass(frozen=True, slots=True)
class Sent:
    """Where an exchange is kept. message_id: the answer's, which grows from now on."""

    conversation_id: str
    user_message_id: str | None
    message_id: str


class Chats:
    """Takes messages and has them answered, one answer at a time in a conversation, many side by side.

    A message is in the store before the model is asked. An answer runs on a thread of its own, whoever looks
    at it, until it ends or is stopped. Nothing that is changed or made again replaces what was there: it is a new
    branch beside it. Safe to use from any thread. Methods that take an id raise NotFound, also for what is in the
    trash.
    """

    def __init__(self, store: Store, models: ModelSource) -> None:
        self.answers = Answers(store, models)
        self.next_answer = NextAnswer(store, models, self.answers.counts)
        self._store = store
        self._models = models

    def of(self, owner: str) -> Chats:
        """The same as one person sees them, see `Store.of`: others' conversations and answers are not there."""
        theirs = copy(self)
        theirs._store = self._store.of(owner)
        theirs.next_answer = self.next_answer.of(theirs._store)
        return theirs

    def send(
        self,
        conversation_id: str | None,
        text: str,
        *,
        settings: Mapping[str, Any] | None = None,
        system_prompt: str = "",
        preset_id: str | None = None,
        context_policy: ContextPolicy | None = None,
    ) -> Sent:
        """Add a message below the current leaf and begin to answer it; None begins a conversation.

        settings, system_prompt, preset_id and context_policy become the conversation's own; where not given, an
        existing conversation keeps what it has. Raises EmptyMessage, MessageTooLong, ConversationBusy, NotFound,
        InvalidSampling; nothing is stored then.
        """
        text = _checked(text)
        if conversation_id is not None:
            self._store.conversations.present(conversation_id)
        with self.answers.lock:
            self.answers.admit(conversation_id)
            with self._store.transaction():
                conversation = self._conversation(
                    conversation_id, text, settings, system_prompt, preset_id, context_policy
                )
                question = self._store.messages.add(
                    conversation.id, parent_id=conversation.current_message_id, role="user", content=text
                )
                begin = self._begin(conversation, question.id, {})
            return begin()

    def regenerate(self, message_id: str, settings: Mapping[str, Any] | None = None) -> Sent:
        """Answer again beside an answer, or below a message of the user's; what was there is kept.

        settings: over the conversation's, for this once. Raises ConversationBusy, InvalidSampling.
        """
        message = self._store.branches.present(message_id)
        asked = message.parent_id if message.role == "assistant" else message.id
        with self.answers.lock:
            self.answers.admit(message.conversation_id)
            with self._store.transaction():
                begin = self._begin(self._store.conversations.present(message.conversation_id), asked, settings or {})
            return begin()

    def edit(self, message_id: str, text: str) -> Sent:
        """Write a message anew, as a branch of its own; the old one stays with all that follows it.

        A message of the user's is answered again; an answer is kept as it was written, marked as edited, and its own
        id is that of the answer then. Raises EmptyMessage, MessageTooLong, ConversationBusy.
        """
        text = _checked(text)
        old = self._store.branches.present(message_id)
        with self.answers.lock:
            self.answers.admit(old.conversation_id)
            with self._store.transaction():
                conversation = self._store.conversations.present(old.conversation_id)
                new = self._store.messages.add(
                    old.conversation_id, parent_id=old.parent_id, role=old.role, content=text, edited=True
                )
                self._store.events.add(
                    EDIT_MESSAGE,
                    conversation.id,
                    {"current_message_id": conversation.current_message_id},
                    {"message_id": new.id},
                )
                if old.role != "user":
                    return Sent(conversation.id, old.parent_id, new.id)
                begin = self._begin(conversation, new.id, {})
            return begin()

    def continue_answer(self, message_id: str) -> Sent:
        """Go on with an answer that was stopped, cut off or interrupted, from its exact tokens.

        With the settings and the seed it was begun with. An answer without tokens, or of another model, is continued
        from its text. Raises ConversationBusy; ChatError for an answer that is complete.
        """
        message = self._store.branches.present(message_id)
        if not can_continue(message):
            raise ChatError("this answer is complete: only one that was stopped, cut off or interrupted can go on")
        with self.answers.lock:
            self.answers.admit(message.conversation_id)
            with self._store.transaction():
                message = self._store.messages.get(message_id)
                conversation = self._store.conversations.present(message.conversation_id)
                extra = {name: value for name, value in message.extra.items() if name != "error"}
                question = self._question_of(conversation, message, message)
                self._store.messages.update(message.id, status="streaming")
                # The path ends with it now: what followed was said to the answer as it was.
                self._store.conversations.select(conversation.id, message.id)
            self.answers.start(message, question, extra)
        return Sent(message.conversation_id, message.parent_id, message.id)

    def branch_at(
        self,
        message_id: str,
        index: int,
        *,
        token: int | None = None,
        text: str | None = None,
        several: bool = False,
    ) -> Sent:
        """A new version of an answer: its tokens before number `index` as they are, then another token, then onward.

        token: an id; or text: the user's own word, which may be several tokens only if `several`. It goes on with the
        settings and the seed of the answer. Raises NotPossible with what is possible, ConversationBusy.
        """
        message = self._store.branches.present(message_id)
        branch = Branch.of(message, self._models.backend(timeout=0), index, token, text, several=several)
        with self.answers.lock:
            self.answers.admit(message.conversation_id)
            with self._store.transaction():
                conversation = self._store.conversations.present(message.conversation_id)
                new = self._store.messages.add(
                    conversation.id, parent_id=message.parent_id, role="assistant", status="streaming", **branch.columns
                )
                question = self._question_of(conversation, message, new)
            self.answers.start(new, question, dict(new.extra))
        return Sent(conversation.id, message.parent_id, new.id)

    def compare(
        self,
        conversation_id: str | None,
        variations: Sequence[Variation],
        *,
        text: str | None = None,
        message_id: str | None = None,
    ) -> list[Sent]:
        """Answer one message with several settings side by side; every answer stays, as a version.

        text: a new message; else message_id: a message of the user's, or an answer to one. The prompt is read once.
        Raises as `send` does; nothing is stored then.
        """
        if message_id is not None:
            message = self._store.branches.present(message_id)
            conversation_id = message.conversation_id
            asked = message.parent_id if message.role == "assistant" else message.id
        else:
            text, asked = _checked(text or ""), None
        comparison = new_comparison()
        with self.answers.lock:
            self.answers.admit(conversation_id)
            with self._store.transaction():
                if message_id is None:
                    conversation = self._conversation(conversation_id, text or "", None, "", None, None)
                    asked = self._store.messages.add(
                        conversation.id, parent_id=conversation.current_message_id, role="user", content=text or ""
                    ).id
                else:
                    conversation = self._store.conversations.present(str(conversation_id))
                begins = [
                    self._begin(
                        conversation,
                        asked,
                        variation.settings,
                        once_from=variation.source,
                        extra={COMPARISON: {"id": comparison, "label": variation.label}} | variation.extra,
                    )
                    for variation in variations
                ]
            return [begin() for begin in begins]

    def pick(self, message_id: str) -> Message:
        """Choose an answer among those it was compared with: it is shown, and the choice is kept.

        Raises ChatError for an answer that was not compared, ConversationBusy while any of them is written.
        """
        message = self._store.branches.present(message_id)
        with self.answers.lock:
            self.answers.admit(message.conversation_id)
            with self._store.transaction():
                for sibling, extra in picked(message, self._store.messages.siblings(message.id)):
                    self._store.messages.update(sibling.id, extra=extra)
                self._store.branches.show(message.id)
        return message

    def delete(self, message_id: str, *, subtree: bool = True) -> str:
        """Put a message into the trash; id of the event to undo. See `Branches.delete`. Raises ConversationBusy."""
        message = self._store.branches.present(message_id)
        with self.answers.lock:
            self.answers.admit(message.conversation_id)
            return self._store.branches.delete(message_id, subtree=subtree)

    def fork(self, message_id: str) -> Conversation:
        """A new conversation that begins with the path to a message, as a copy."""
        message = self._store.branches.present(message_id)
        return copy_conversation(self._store, message.conversation_id, message.id)

    def duplicate(self, conversation_id: str) -> Conversation:
        """A copy of a conversation with all its branches."""
        return copy_conversation(self._store, conversation_id)

    def stop(self, conversation_id: str) -> bool:
        """End the conversation's answer, in whatever phase; what there is of it is kept. False if none
        runs."""
        running = self.answers.all_in(conversation_id) if self.live_in(conversation_id) else []
        for live in running:
            live.cancel()
        return bool(running)

    def live(self, message_id: str) -> LiveRun | None:
        """The run of an answer, if it is under way or ended within the last minute."""
        return self._visible(self.answers.live(message_id))

    def live_in(self, conversation_id: str) -> LiveRun | None:
        """The run that is under way in a conversation."""
        return self._visible(self.answers.live_in(conversation_id))

    @property
    def running(self) -> set[str]:
        """The conversations that are being answered; of others' too."""
        return self.answers.running

    def close(self, timeout: float = 5.0) -> None:
        """Take no more messages, end the answers under way and save what there is, marked interrupted."""
        self.answers.close(timeout)

    def _visible(self, live: LiveRun | None) -> LiveRun | None:
        return live if live and self._store.conversations.has(live.conversation_id) else None

    def _conversation(
        self,
        conversation_id: str | None,
        text: str,
        settings: Mapping[str, Any] | None,
        system_prompt: str,
        preset_id: str | None,
        context_policy: ContextPolicy | None,
    ) -> Conversation:
        conversations = self._store.conversations
        if conversation_id is None:
            return conversations.create(
                title=title_of(text),
                title_by="first words",
                system_prompt=system_prompt,
                preset_id=preset_id,
                settings=settings,
                context_policy=context_policy or "drop_oldest",
            )
        conversation = conversations.present(conversation_id)
        if not conversation.title:
            conversations.suggest_title(conversation_id, title_of(text), "first words")
        return conversations.configure(
            conversation_id,
            system_prompt=system_prompt or conversation.system_prompt,
            preset_id=preset_id or conversation.preset_id,
            settings=conversation.settings if settings is None else settings,
            context_policy=context_policy,
        )

    def _begin(
        self,
        conversation: Conversation,
        parent_id: str | None,
        once: Mapping[str, Any],
        *,
        once_from: str = "message",
        extra: Mapping[str, Any] | None = None,
    ) -> Callable[[], Sent]:
        """Add an empty answer below a message; returns what starts it once the transaction has committed.

        once: settings over all others; once_from: which layer they are told to come from. extra: for its column.
        """
        layers = self.next_answer.layers(conversation, once)
        sampling = layers.effective
        path = self._path(conversation, parent_id)
        told: dict[str, Any] = {SETTINGS_FROM: sources(layers, once, once_from), PRESET: layers.preset.name}
        if conversation.system_prompt:
            told[SYSTEM_PROMPT] = conversation.system_prompt
        extra = told | dict(extra or {})
        message = self._store.messages.add(
            conversation.id,
            parent_id=parent_id,
            role="assistant",
            status="streaming",
            settings=plain_settings(sampling.to_dict()),
            extra=extra,
        )
        question = Question(path, conversation.system_prompt, conversation.context_policy, sampling, begins=began(path))

        def begin() -> Sent:
            self.answers.start(message, question, extra)
            return Sent(conversation.id, parent_id, message.id)

        return begin

    def _question_of(self, conversation: Conversation, answer: Message, continued: Message) -> Question:
        """What an answer was asked, to go on with it, or with what was made of it."""
        return Question(
            self._path(conversation, answer.parent_id),
            str(answer.extra.get(SYSTEM_PROMPT, "")) if answer.model else conversation.system_prompt,
            conversation.context_policy,
            self.next_answer.settings_of(conversation, answer),
            begins=answer.extra.get(CONTEXT_FROM),
            continued=continued,
        )

    def _path(self, conversation: Conversation, leaf_id: str | None) -> list[Message]:
        return self._store.messages.path(conversation.id, leaf_id=leaf_id) if leaf_id else []


def can_continue(message: Message) -> bool:
    """Whether an answer ended before its end, and there is something of it."""
    cut = message.status in UNFINISHED or (message.status == "complete" and message.finish_reason == "length")
    return message.role == "assistant" and bool(message.content or message.new_tokens) and cut


def _checked(text: str) -> str:
    text = storable(text)
    if not text.strip():
        raise EmptyMessage
    if len(text) > MAX_CHARACTERS:
        raise MessageTooLong(len(text))
    return text
