"""Compiles the forward pass into the code cache: `python -m engine.native.compile_all`.

A process of its own, because compiling holds Python's lock for seconds at a time and cannot be broken off; it may
outlive the one that wants the code.
"""

from __future__ import annotations

import os

import filelock
import numba
import numpy as np

from engine.native.code_cache import code_folder, code_is_ready, mark_ready
from engine.native.packing import interleave_pairs, interleave_words
from engine.native.step import BUFFERS, LAYER, MATRIX, MODEL, TOKEN, announce, forward, serve
from engine.native.summary import summarize

# How much less urgent than answering it is.
NICENESS = 10


def main() -> None:
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    folder = code_folder()
    if folder is None:
        raise SystemExit("there is no folder for compiled code")
    with filelock.FileLock(folder / "lock"):
        if not code_is_ready():
            compile_all()
            mark_ready()


def compile_all() -> None:
    """Compile every function that is called from Python, for the types it is called with."""
    whole = np.int64
    plan = (np.zeros(1, MODEL), np.zeros(1, LAYER), np.zeros(1, MATRIX))
    tokens, chosen, counts, buffers = np.zeros(1, TOKEN), np.zeros(1, whole), np.zeros(2, whole), np.zeros(1, BUFFERS)
    forward.compile(_types(0, 1, 0, *plan, tokens, chosen, buffers))
    serve.compile(_types(0, 1, 0, 0, 0, *plan, tokens, chosen, counts, buffers))
    announce.compile(_types(0))
    octets = (np.zeros((1, 1, 1, 1), np.uint8), np.zeros((1, 1, 1), np.uint8))
    interleave_words.compile(_types(*octets))
    interleave_pairs.compile(_types(*octets))
    numbers, likeliest, ids = np.zeros(1), np.zeros((1, 1), np.float32), np.zeros((1, 1), whole)
    summarize.compile(_types(0, 0, 0, numbers, numbers, likeliest, ids))


def _types(*arguments: object) -> tuple[numba.types.Type, ...]:
    return tuple(numba.typeof(argument) for argument in arguments)


if __name__ == "__main__":
    main()
