"""A real vLLM on the CPU and older clients, each in a virtual environment that `make conformance` makes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from benchmarks.machine import free_port
from tests.app import plain_http
from tests.browser.conftest import browser

__all__ = ["browser", "folder", "python_of", "vllm"]

# Names the folder of the virtual environments.
ENVIRONMENTS = "FIRESIDE_CONFORMANCE"
START_SECONDS = 600
CONTEXT = 2048


def python_of(environment: str) -> Path:
    """The Python of one of the virtual environments; without them the test is skipped."""
    if ENVIRONMENTS not in os.environ:
        pytest.skip(f"{ENVIRONMENTS} names no virtual environments: make conformance makes them")
    return Path(os.environ[ENVIRONMENTS], environment, "bin", "python").absolute()


@pytest.fixture(scope="session")
def folder(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model as vLLM reads it: its weights in 32 bits, in a Hugging Face folder."""
    python_of("vllm")
    folder = tmp_path_factory.mktemp("folder") / "smollm2-135m"
    where = {"pretrained_model_name_or_path": str(model_path.parent), "gguf_file": model_path.name}
    model: Any = AutoModelForCausalLM.from_pretrained(
        **where, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    # Nothing is left of the quantization, but transformers saves none that ever had one.
    model.hf_quantizer = None
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def vllm(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of its API."""
    port = free_port()
    command = [
        *(
            str(python_of("vllm")),
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            str(folder),
            "--served-model-name",
            "smollm2",
        ),
        *("--dtype", "float32", "--enforce-eager", "--max-model-len", str(CONTEXT), "--host", "127.0.0.1"),
        *("--port", str(port), "--max-num-seqs", "8"),
    ]
    quiet = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    log = tmp_path_factory.mktemp("vllm") / "log"
    # A folder without this project's packages, and a group of its own, which ends with it.
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | quiet, cwd=log.parent, start_new_session=True
        )
    address, deadline = f"http://127.0.0.1:{port}", monotonic() + START_SECONDS
    try:
        while True:
            assert process.poll() is None, log.read_text()[-3000:]
            assert monotonic() < deadline, log.read_text()[-3000:]
            try:
                if plain_http.get(f"{address}/health", timeout=2).status_code == 200:
                    break
            except httpx.HTTPError:
                sleep(0.5)
        yield f"{address}/v1"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
