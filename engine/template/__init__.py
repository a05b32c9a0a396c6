"""A conversation as the model was trained to read it."""

from __future__ import annotations

from engine.template.chat_template import ChatTemplate, encode_chat

__all__ = ["ChatTemplate", "encode_chat"]
