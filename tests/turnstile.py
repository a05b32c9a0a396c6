"""Tests beside each other, but for those that measure time: these are alone.

`make test` has two processes run the tests (pytest-xdist). They keep apart by locks on two files that are there anyway,
so that nothing is left behind, and whoever ends lets go.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import machine

DOOR, ROOM = Path(__file__), Path(__file__).with_name("conftest.py")


def crowded() -> float:
    """How many programs share a processor, at least 1: what is timed beside others may take so many times as long."""
    return max(1.0, machine.load())


@contextmanager
def turn(alone: bool) -> Iterator[None]:
    """Wait until no test runs that is alone, and if this one is to be alone, until none runs; then keep it so."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    with DOOR.open() as door, ROOM.open() as room:
        # Who waits for the room keeps the door, or new ones would go in before it again and again.
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
