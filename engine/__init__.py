"""Fireside's engine: a checkpoint in, tokens with their probabilities out.

from engine import Engine, Sampling

with Engine.load("model.gguf") as engine:
    for step in engine.chat([{"role": "user", "content": "Hello"}], Sampling(temperature=0)):
        print(step.text, end="")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import (
    ContextOverflow,
    EngineBusy,
    EngineClosed,
    EngineError,
    InvalidPrompt,
    InvalidSampling,
    ModelFormatError,
    ModelNotFound,
    OutOfMemory,
    TemplateError,
    UnsupportedModel,
)
from engine.info import EngineInfo
from engine.kv_files import KVFiles
from engine.run import Run, Stats, Step
from engine.sampling import Sampling

if TYPE_CHECKING:
    from engine.engine import Engine

__all__ = [
    "ContextOverflow",
    "Engine",
    "EngineBusy",
    "EngineClosed",
    "EngineError",
    "EngineInfo",
    "InvalidPrompt",
    "InvalidSampling",
    "KVFiles",
    "ModelFormatError",
    "ModelNotFound",
    "OutOfMemory",
    "Run",
    "Sampling",
    "Stats",
    "Step",
    "TemplateError",
    "UnsupportedModel",
]


def __getattr__(name: str) -> Any:
    # `Engine` brings torch, which takes seconds to import; the words around it are wanted without.
    if name == "Engine":
        from engine.engine import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
