"""Text to token ids and back."""

from __future__ import annotations

from engine.tokenizer.folder import tokenizer_from_folder
from engine.tokenizer.gguf import tokenizer_from_gguf
from engine.tokenizer.tokenizer import Tokenizer

__all__ = ["Tokenizer", "tokenizer_from_folder", "tokenizer_from_gguf"]
