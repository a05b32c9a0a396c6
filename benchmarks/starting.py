"""How long it takes from nothing to a first token, and how much memory: each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

OURS = """
import json, sys, time, psutil
began = time.time()
from engine import Engine, Sampling
from engine.engine import Engine
imported = time.time()
engine = Engine.load(sys.argv[1], threads=int(sys.argv[2]))
run = iter(engine.generate([300, 301, 302], Sampling(temperature=0, max_tokens=100, ignore_eos=True)))
next(run)
first = time.time()
list(run)
megabytes = psutil.Process().memory_full_info().uss / 1e6
engine.wait_for_kernels()
native = time.time() - imported
print(json.dumps([imported - began, first - imported, megabytes, native]))
"""
THEIRS = """
import sys, time, json, psutil
from pathlib import Path
began = time.time()
from benchmarks.peers import LlamaCpp
imported = time.time()
server = LlamaCpp(Path(sys.argv[1]), int(sys.argv[2]), context=8192)
server.answer([300, 301, 302], 1)
first = time.time()
before = psutil.Process().memory_full_info().uss
server.answer([300, 301, 302], 100)
print(json.dumps([imported - began, first - imported, psutil.Process().memory_full_info().uss / 1e6, 0]))
"""
ROOT = Path(__file__).resolve().parents[1]


class Start(NamedTuple):
    """Seconds for Python's imports, then from there to the first token; memory of the process alone after 100 tokens;
    seconds until native kernels were in use."""

    imports: float
    first_token: float
    megabytes: float
    native: float


def start_fireside(path: Path, threads: int, *, first_time: bool = False) -> Start:
    """first_time: on a machine that has no compiled code yet."""
    if not first_time:
        return _start(OURS, path, threads, {})
    with tempfile.TemporaryDirectory() as cache:
        return _start(OURS, path, threads, {"XDG_CACHE_HOME": cache})


def start_llama_cpp(path: Path, threads: int) -> Start:
    return _start(THEIRS, path, threads, {})


def _start(code: str, path: Path, threads: int, environment: dict[str, str]) -> Start:
    command = [sys.executable, "-c", code, str(path), str(threads)]
    child = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return Start(*json.loads(child.stdout.splitlines()[-1]))
