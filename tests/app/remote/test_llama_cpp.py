"""The real llama.cpp server, where the xllamacpp wheel is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from app.backend import AnswerInterrupted
from app.remote import Address, RemoteEngine
from engine import ContextOverflow, Sampling

SCRIPT = Path(__file__).with_name("llama_server.py")
STORY = [{"role": "user", "content": "Write a long story."}]
pytestmark = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed")


@pytest.fixture
def process(model_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(SCRIPT), str(model_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield process
        process.kill()


def test_an_answer_a_stop_a_long_prompt_and_a_crash(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    address = next(line.strip() for line in process.stdout if line.startswith("http"))
    engine = RemoteEngine.connect(Address.parse(address))
    assert (engine.info.context, engine.info.kernels, engine.info.ignored) == (512, "llama.cpp", ())
    assert engine.detokenize(engine.tokenize("Hello é")) == "Hello é"

    steps = list(engine.chat(STORY, Sampling(temperature=0, max_tokens=8, logprobs=2)))
    tokens = [step.token for step in steps if step.token is not None]
    assert (len(tokens), steps[-1].finish_reason) == (8, "length")
    assert engine.detokenize(tokens) == "".join(step.text for step in steps)

    run = engine.chat(STORY, Sampling(ignore_eos=True))
    for _ in run:
        run.cancel()
    deadline = monotonic() + 2
    while any(slot["is_processing"] for slot in httpx.get(f"{address}/slots", timeout=20).json()):
        assert monotonic() < deadline
        sleep(0.01)

    with pytest.raises(ContextOverflow, match="512"):
        list(engine.chat([{"role": "user", "content": "word " * 2000}]))

    def until_killed() -> None:
        for _ in engine.chat(STORY, Sampling(ignore_eos=True)):
            process.kill()

    with pytest.raises(AnswerInterrupted):
        until_killed()
    engine.close()
