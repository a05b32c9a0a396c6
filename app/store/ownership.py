"""Whose a row is, as conditions in SQL; see `Store.of`.

In both, parameter 2 is the id of the person who asks, or NULL for the store as a whole.
"""

from __future__ import annotations

# Of a table that has the column `owner`.
IS_OWNED = "(?2 IS NULL OR owner = ?2)"
# Of a table whose rows belong to a conversation.
OWNED_CONVERSATION = """(?2 IS NULL OR EXISTS (
    SELECT 1 FROM conversations WHERE conversations.id = conversation_id AND conversations.owner = ?2))"""
