"""A conversation made anew from another."""

from __future__ import annotations

from app.store import Conversation, Store


def copy_conversation(store: Store, conversation_id: str, leaf_id: str | None = None) -> Conversation:
    """A copy with settings and tags: of the path to `leaf_id`, or of all branches. Raises NotFound."""
    with store.transaction():
        original = store.conversations.present(conversation_id)
        copy = store.conversations.create(
            title=original.title,
            title_by=original.title_by,
            system_prompt=original.system_prompt,
            preset_id=original.preset_id,
            settings=original.settings,
            context_policy=original.context_policy,
        )
        store.conversations.tag(copy.id, store.conversations.tags(original.id))
        store.branches.copy(original.id, copy.id, leaf_id=leaf_id)
        return store.conversations.get(copy.id)
