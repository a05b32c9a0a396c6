"""The machine that something is measured on: what it is, how busy, and which of its ports is free."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def load() -> float:
    """How many programs wanted each core over the last minute; above 1, some had to wait."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def described(load: float, when: str = "at the start") -> str:
    """The machine in the words of all results, with its load as it was then."""
    cores = f"{os.cpu_count()} cores, load {load:.2f} a core {when}"
    return f"{platform.machine()}, {processor()}, {cores}, Python {platform.python_version()}"


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
