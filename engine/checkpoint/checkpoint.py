"""Finds the model in what the user points at."""

from __future__ import annotations

from pathlib import Path

from engine.checkpoint.gguf_checkpoint import GGUFCheckpoint
from engine.errors import ModelFormatError, ModelNotFound


def open_checkpoint(path: Path) -> GGUFCheckpoint:
    """Open a model file, or the one model file in a folder.

    Raises ModelNotFound if there is none, ModelFormatError if there are several or it is damaged, UnsupportedModel
    if it cannot be run exactly.
    """
    if not path.exists():
        raise ModelNotFound(f"there is no model at {path}: give a model's name, a .gguf file or a folder with one")
    if path.is_file():
        return GGUFCheckpoint(path)
    files = sorted(path.glob("*.gguf"))
    if not files:
        raise ModelNotFound(f"there is no .gguf file in {path}: give a folder that holds one")
    if len(files) > 1:
        raise ModelFormatError(f"{path} holds {len(files)} .gguf files: name the one to use, such as {files[0].name}")
    return GGUFCheckpoint(files[0])
