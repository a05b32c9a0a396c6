"""llama.cpp's own HTTP server as a process, which can be killed and started again at the same address."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

SLOT_TOKENS = 512
needs_llama_cpp = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed")


class LlamaServer:
    """Two slots of SLOT_TOKENS each. address: of the server, once it was started."""

    def __init__(self, model: Path) -> None:
        self.address = ""
        self._model = model
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        port = self.address.rpartition(":")[2]
        command = [sys.executable, __file__, str(self._model), port]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout
        self.address = next(line.strip() for line in self._process.stdout if line.startswith("http"))

    def kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        # Also closes its pipes.
        self._process.communicate()
        self._process = None

    @property
    def busy(self) -> int:
        """How many of its slots compute."""
        slots = httpx.get(f"{self.address}/slots", timeout=20, trust_env=False, verify=False).json()
        return sum(slot["is_processing"] for slot in slots)

    def wait_idle(self, seconds: float, but: int = 0) -> float:
        """Wait until no slot computes, but so many; how long that took."""
        begun = monotonic()
        while self.busy != but:
            assert monotonic() - begun < seconds
            sleep(0.01)
        return monotonic() - begun


def main(model: str, port: str) -> None:
    """Serve until standard input ends, as it does with the test; prints the address."""
    xllamacpp: Any = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.port = int(port or 0)
    params.n_ctx, params.n_parallel = 2 * SLOT_TOKENS, 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.endpoint_slots = True
    server = xllamacpp.Server(params)
    print(f"\n{server.listening_address}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
