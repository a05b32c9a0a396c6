"""Finds the model in what the user points at."""

from __future__ import annotations

from pathlib import Path

from engine.checkpoint.checkpoint import Checkpoint
from engine.checkpoint.folder_checkpoint import open_folder
from engine.checkpoint.gguf_checkpoint import open_gguf
from engine.checkpoint.gguf_source import gguf_in
from engine.errors import ModelNotFound


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a GGUF file, a folder that holds one, or a Hugging Face folder.

    Raises ModelNotFound if there is none, ModelFormatError if there are several or it is damaged, UnsupportedModel
    if it cannot be run exactly.
    """
    if not path.exists():
        raise ModelNotFound(f"there is no model at {path}: give a model's name, a .gguf file or a model's folder")
    if path.is_file():
        return open_gguf(path)
    if (path / "config.json").is_file():
        return open_folder(path)
    if file := gguf_in(path):
        return open_gguf(file)
    raise ModelNotFound(f"there is neither a config.json nor a .gguf file in {path}: give a model's folder")
