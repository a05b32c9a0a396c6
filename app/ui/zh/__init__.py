"""Simplified Chinese: the English text, or its template, and ours for it; a part of the page in each file."""

from __future__ import annotations

from app.ui.zh import accounts, chats, drawer, elsewhere, files, inside, models, presets

CHINESE: dict[str, str] = {}
for part in (accounts, chats, drawer, elsewhere, files, inside, models, presets):
    CHINESE |= part.CHINESE
