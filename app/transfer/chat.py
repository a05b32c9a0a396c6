"""A conversation as it is moved: with all branches, its tags and its preset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.store import Conversation, Message, Preset, Store


@dataclass(frozen=True, slots=True)
class Chat:
    """messages: of every branch, those in the trash left out; a parent stands before what follows it."""

    conversation: Conversation
    messages: tuple[Message, ...]
    tags: tuple[str, ...] = ()
    preset: Preset | None = None

    @property
    def path(self) -> list[Message]:
        """The branch that is shown."""
        return self.path_to(self.conversation.current_message_id)

    @property
    def branches(self) -> list[list[Message]]:
        """Every branch from its root to its last message, the oldest last message first."""
        parents = {message.parent_id for message in self.messages}
        return [self.path_to(message.id) for message in self.messages if message.id not in parents]

    @property
    def children(self) -> dict[str | None, list[Message]]:
        """The messages below each message that has any, and below None those at the root; oldest first."""
        children: dict[str | None, list[Message]] = {}
        for message in self.messages:
            children.setdefault(message.parent_id, []).append(message)
        return children

    def path_to(self, leaf_id: str | None) -> list[Message]:
        """From the root to a message; empty for one that is not here."""
        by_id = {message.id: message for message in self.messages}
        path = []
        # Taking each out ends the walk even if another tool has bent the tree into a circle.
        while leaf_id is not None and (message := by_id.pop(leaf_id, None)):
            path.append(message)
            leaf_id = message.parent_id
        return path[::-1]


def collect(store: Store, ids: Iterable[str]) -> Iterator[Chat]:
    """The conversations with these ids, read one after the other; raises NotFound for one that is not there."""
    for id in ids:
        conversation = store.conversations.get(id)
        preset = None if conversation.preset_id is None else store.presets.get(conversation.preset_id)
        yield Chat(conversation, tuple(store.messages.tree(id)), tuple(store.conversations.tags(id)), preset)
