"""What is kept: conversations as trees of messages, and presets, in SQLite."""

from __future__ import annotations

from app.store.errors import (
    BackupFailed,
    DatabaseDamaged,
    DatabaseNewer,
    DiskRefused,
    HomeLocked,
    HomeNotWritable,
    NotFound,
    StoreError,
)
from app.store.records import Conversation, Hit, Message, Preset
from app.store.store import Store

__all__ = [
    "BackupFailed",
    "Conversation",
    "DatabaseDamaged",
    "DatabaseNewer",
    "DiskRefused",
    "Hit",
    "HomeLocked",
    "HomeNotWritable",
    "Message",
    "NotFound",
    "Preset",
    "Store",
    "StoreError",
]
