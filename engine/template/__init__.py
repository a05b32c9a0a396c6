"""A conversation as the model was trained to read it."""

from __future__ import annotations

from engine.template.chat_template import ChatTemplate, RenderedChat

__all__ = ["ChatTemplate", "RenderedChat"]
