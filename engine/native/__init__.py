"""An accelerator for the CPU: the forward pass as machine code for quantised weights, if numba is there to make it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from engine.native.code_cache import code_is_ready, missing

if TYPE_CHECKING:
    from engine.checkpoint import Checkpoint
    from engine.native.model import NativeModel
    from engine.native.support import native_bytes, refusal

__all__ = ["code_is_ready", "compile_native", "load_native", "missing", "native_bytes", "refusal"]


def __getattr__(name: str) -> Any:
    # These bring torch: see `engine.__getattr__`.
    if name in ("native_bytes", "refusal"):
        from engine.native import support

        return getattr(support, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def compile_native() -> None:
    """Have the code compiled by a process of its own, unless it is there; takes seconds, once a machine.

    Raises RuntimeError with the last line it said if that fails.
    """
    if code_is_ready():
        return
    command = [sys.executable, "-m", "engine.native.compile_all"]
    child = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if child.returncode:
        said = (child.stderr.strip().splitlines() or ["nothing"])[-1]
        raise RuntimeError(f"compiling the native kernels ended with {child.returncode}: {said:.200}")


def load_native(checkpoint: Checkpoint, context: int, threads: int) -> NativeModel:
    """Pack a model's weights for the code that `compile_native` has made.

    Only for models of which `refusal` says nothing. Raises as `load_weights` does, and OverflowError for a scale
    that cannot be packed.
    """
    # numba takes half a second to import, and torch two.
    import torch

    from engine.native.model import NativeModel
    from engine.native.plan import Plan

    torch_threads = torch.get_num_threads()
    # Packing is many small steps: torch's threads would wait for each other longer than they work.
    torch.set_num_threads(1)
    try:
        plan = Plan(checkpoint.source, checkpoint.layout, checkpoint.config, context)
    finally:
        torch.set_num_threads(torch_threads)
    return NativeModel(checkpoint.config, plan, context, threads)
