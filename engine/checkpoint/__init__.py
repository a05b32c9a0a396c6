"""Model files, opened without trust."""

from __future__ import annotations

from engine.checkpoint.checkpoint import Checkpoint
from engine.checkpoint.opening import open_checkpoint

__all__ = ["Checkpoint", "open_checkpoint"]
