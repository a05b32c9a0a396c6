"""Text to token ids and back."""

from __future__ import annotations

from engine.tokenizer.folder import tokenizer_from_folder
from engine.tokenizer.gguf import tokenizer_from_gguf
from engine.tokenizer.named import tokenizer_by_name
from engine.tokenizer.tokenizer import Tokenizer

__all__ = ["Tokenizer", "tokenizer_by_name", "tokenizer_from_folder", "tokenizer_from_gguf"]
