"""Chats as the terminal holds them."""

from __future__ import annotations

from typing import Any, Protocol

from app.accounts.people import person
from app.answer import ModelSource
from app.person import OWNER
from app.store import Store
from app.workspace import Workspace, Workspaces

# How long `read` waits for more, and how many chats `chats` tells of.
WAIT_SECONDS = 0.25
LATEST = 20


class Talk(Protocol):
    """What the terminal asks for. Plain data goes in and comes out, so that it can travel; raises AppError and
    EngineError here, ControlFailed from another process."""

    def chats(self) -> list[dict[str, str]]:
        """The latest, each with its `id` and `title`."""
        ...

    def history(self, conversation_id: str) -> list[dict[str, str]]:
        """The branch that is shown, each message with `role`, `content` and `status`."""
        ...

    def send(
        self, conversation_id: str | None, text: str, settings: dict[str, Any] | None, system_prompt: str
    ) -> tuple[str, str]:
        """Have a message answered; the ids of the conversation and of the answer. See `Chats.send`."""
        ...

    def again(self, conversation_id: str) -> tuple[str, str]:
        """Have the last message answered once more, beside the answer that is there."""
        ...

    def settings(self, conversation_id: str) -> dict[str, Any]:
        """Those that hold, by the names of `engine.Sampling`."""
        ...

    def configure(self, conversation_id: str, settings: dict[str, Any], system_prompt: str | None) -> None:
        """Change some of a conversation's own settings, or what the model is told first."""
        ...

    def read(self, message_id: str, position: int) -> dict[str, Any]:
        """What an answer has beyond a position, waiting a moment for it: `reasoning`, `text`, the `position` after
        them, whether it is `done`, its `phase`; and what the model's state says while it is waited for, `message`.
        Of one that is done also `status`, `error` and figures."""
        ...

    def stop(self, conversation_id: str) -> None:
        """End its answer; what there is of it is kept."""
        ...


METHODS = ("chats", "history", "send", "again", "settings", "configure", "read", "stop")


class TalkHere:
    """Conforms to Talk with one person's workspace."""

    def __init__(self, workspace: Workspace, models: ModelSource) -> None:
        self._store = workspace.store
        self._chats = workspace.chats
        self._models = models

    @classmethod
    def of_user(cls, store: Store, workspaces: Workspaces, models: ModelSource, name: str | None) -> TalkHere:
        """Of a user by name, None where there are no accounts. Raises NotFound, StoreError as `Store.of_user`."""
        store.of_user(name)
        who = OWNER if name is None else person(store.users.named(name)) or OWNER
        return cls(workspaces.for_person(who), models)

    def chats(self) -> list[dict[str, str]]:
        return [{"id": each.id, "title": each.title} for each in self._store.conversations.list(LATEST)]

    def history(self, conversation_id: str) -> list[dict[str, str]]:
        self._store.conversations.get(conversation_id)
        path = self._store.messages.path(conversation_id)
        return [{"role": each.role, "content": each.content, "status": each.status} for each in path]

    def send(
        self, conversation_id: str | None, text: str, settings: dict[str, Any] | None, system_prompt: str
    ) -> tuple[str, str]:
        sent = self._chats.send(conversation_id, text, settings=settings, system_prompt=system_prompt)
        return sent.conversation_id, sent.message_id

    def again(self, conversation_id: str) -> tuple[str, str]:
        leaf = self._store.conversations.get(conversation_id).current_message_id
        sent = self._chats.regenerate(leaf or "")
        return sent.conversation_id, sent.message_id

    def settings(self, conversation_id: str) -> dict[str, Any]:
        return self._chats.next_answer.settings(conversation_id).effective.to_dict()

    def configure(self, conversation_id: str, settings: dict[str, Any], system_prompt: str | None) -> None:
        conversation = self._store.conversations.get(conversation_id)
        self._store.conversations.configure(
            conversation_id,
            system_prompt=conversation.system_prompt if system_prompt is None else system_prompt,
            preset_id=conversation.preset_id,
            settings={**conversation.settings, **settings},
        )

    def read(self, message_id: str, position: int) -> dict[str, Any]:
        live = self._chats.live(message_id)
        if live is None:
            # It ended more than a minute ago.
            message = self._store.messages.get(message_id)
            text = ((message.reasoning or "") + message.content)[max(0, position) :]
            return {"reasoning": "", "text": text, "position": position + len(text), "done": True, "phase": "done",
                    "status": message.status, "error": message.extra.get("error"), "message": ""}  # fmt: skip
        live.wait(position, WAIT_SECONDS)
        # Asked before the text is read: what comes in between is read the next time.
        done = live.done
        reasoning, text, after = live.shown_from(position)
        told = {"reasoning": reasoning, "text": text, "position": after, "done": done, "phase": live.phase}
        waiting = str(self._models.state.message) if live.phase == "waiting" else ""
        if done:
            told |= {"status": self._store.messages.get(message_id).status, "error": live.error, **live.stats}
        return told | {"message": waiting}

    def stop(self, conversation_id: str) -> None:
        self._chats.stop(conversation_id)
