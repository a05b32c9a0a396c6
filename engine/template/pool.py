"""The processes that render chat templates, and how this one talks to them.

Jinja's sandbox keeps a template from reaching out of itself, and engine.template.budget counts what it makes. Neither
helps against a single call into C that takes long, memory that runs out, or a crash of the interpreter; and a template
that merely computes for a second would, in a thread of this process, take the interpreter from the thread that decodes
everyone's tokens at each of the hundreds of operations a token needs: measured with the default model on two cores,
0.2 tokens a second instead of 24. So templates are rendered elsewhere, beside which 11 remain.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from engine.errors import TemplateError
from engine.template.wire import receive, send

# The budget ends a template after so much less processor time; this ends what the budget does not see. With the
# start of another worker, all of it stays below two seconds. On the clock a crowded machine may take longer.
MAX_SECONDS, MAX_WALL_SECONDS = 1.2, 15.0
LOOK_SECONDS = 0.1
START_SECONDS = 30.0
IDLE_WORKERS = 2
# Twelve for the escapes of a character in JSON, the rest for the places of what is the template's own.
BYTES_PER_CHARACTER = 32
ENVIRONMENT = ("PYTHONHOME", "SYSTEMROOT", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class Worker:
    """A process that renders one template at a time. Raises TemplateError if it cannot be started."""

    def __init__(self) -> None:
        kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.template.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept | {"PYTHONPATH": os.pathsep.join(sys.path)},
            # Ctrl-C in a terminal is for the program, not for its helpers.
            start_new_session=True,
        )
        with self._ended_after(START_SECONDS, START_SECONDS):
            hello = self._receive(2)
        if hello is None:
            self.close()
            raise TemplateError("the process that renders chat templates does not start: try again")

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """What `engine.template.worker` replies; TemplateError if it takes too long or dies of it."""
        try:
            with self._ended_after(MAX_SECONDS, MAX_WALL_SECONDS):
                send(self._process.stdin, request)  # type: ignore[arg-type]
                reply = self._receive(BYTES_PER_CHARACTER * request["longest"])
        except OSError:
            reply = None
        if reply is None:
            self.close()
            raise TemplateError(f"it needs more than {MAX_SECONDS:g} s, or more memory than it may have")
        return reply

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End the process; safe to call twice."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()  # type: ignore[union-attr]
            # What was not written when the process died is of no use to anyone.
            except OSError:
                continue

    def _receive(self, most: int) -> Any:
        return receive(self._process.stdout, most)  # type: ignore[arg-type]

    @contextmanager
    def _ended_after(self, processor: float, wall: float) -> Iterator[None]:
        """End the process where the block takes more than so many seconds of the processor, or of the clock."""
        done = threading.Event()
        watching = threading.Thread(target=self._watch, args=(done, processor, wall), daemon=True)
        watching.start()
        try:
            yield
        finally:
            done.set()
            # Or it might end the process in the middle of what is asked of it next.
            watching.join()

    def _watch(self, done: threading.Event, processor: float, wall: float) -> None:
        deadline = time.monotonic() + wall
        try:
            spent = self._spent()
            ended = done.wait(processor)
            while not ended and time.monotonic() < deadline and self._spent() - spent < processor:
                ended = done.wait(LOOK_SECONDS)
        except psutil.NoSuchProcess:
            return
        if not ended:
            self._process.kill()

    def _spent(self) -> float:
        """The processor time that the process has taken, in seconds."""
        times = psutil.Process(self._process.pid).cpu_times()
        return times.user + times.system


class Pool:
    """Workers that wait for work; there are as many as there are templates being rendered at once."""

    def __init__(self) -> None:
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Have one of them answer; raises TemplateError."""
        with self._worker() as worker:
            return worker.ask(request)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()

    @contextmanager
    def _worker(self) -> Iterator[Worker]:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is not None and not worker.alive:
            worker.close()
            worker = None
        worker = worker or Worker()
        try:
            yield worker
        except BaseException:
            # A reply may still be on its way, which the next one to ask would take for its own.
            worker.close()
            raise
        with self._lock:
            kept = len(self._idle) < IDLE_WORKERS
            if kept:
                self._idle.append(worker)
        if not kept:
            worker.close()


# One for all models: a worker costs some 20 MB and a tenth of a second, and none of it depends on the model.
pool = Pool()
atexit.register(pool.close)
