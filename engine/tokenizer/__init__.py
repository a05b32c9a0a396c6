"""Text to token ids and back."""

from __future__ import annotations

from engine.tokenizer.tokenizer import Tokenizer

__all__ = ["Tokenizer"]
