"""How functions of this package are compiled: without Python's lock, and once a machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from engine.native.code_cache import code_folder

if (folder := code_folder()) is not None:
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]

# Sums in whatever order is quickest, but NaN and infinity as they are: a damaged model must be noticed.
FAST = {"reassoc", "contract", "arcp", "nsz"}


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, or load what was compiled before; it never raises."""
    return numba.njit(nogil=True, error_model="numpy", fastmath=FAST, cache=folder is not None)(function)
