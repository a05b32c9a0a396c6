"""A server whose random model calls a tool when it is asked something, and what openai-python does with it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.store import Store
from engine import Engine, Run, Sampling
from engine.tools import Tools
from tests.app.api.conftest import api_server
from tests.engine.tool_templates import HERMES
from tests.tiny import write_tiny_llama

MODEL = "tiny.gguf"
CLIENT = Path(__file__).with_name("openai_client.py")
DOES = ["chat", "stream", "stop", "logprobs", "json_schema", "tools", "errors"]


class Caller(Engine):
    """A random model that calls a tool when it is asked something, and answers when it has the result."""

    def chat(self, messages: Sequence[Mapping[str, Any]], sampling: Sampling | None = None, **more: Any) -> Run:
        tools: Tools | None = more.get("tools")
        if tools is not None:
            asked = messages[-1]["role"] == "user"
            more["tools"] = replace(tools, required=True, several=False) if asked else None
        return super().chat(messages, sampling, **more)


@contextmanager
def caller_server(folder: Path) -> Iterator[str]:
    """The address of a server of it."""
    path = write_tiny_llama(folder / MODEL, context=2048, layers=1, chat_template=HERMES)
    with (
        Caller.load(path, kernels="torch") as engine,
        Store.open(folder / "home") as store,
        api_server(store, engine) as address,
    ):
        yield address


def run_openai_client(python: str | Path, address: str) -> list[str]:
    """What openai-python of a Python does well with the server, and its version at last."""
    command = [str(python), str(CLIENT), address, MODEL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=CLIENT.parent)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout.split()
