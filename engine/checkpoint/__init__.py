"""Model files, opened without trust."""

from __future__ import annotations

from engine.checkpoint.checkpoint import open_checkpoint

__all__ = ["open_checkpoint"]
