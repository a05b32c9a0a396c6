"""Memory there is, read from files as the kernel writes them, and memory a model needs, held against the real thing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.checkpoint import open_checkpoint
from engine.errors import OutOfMemory
from engine.memory import WORKING_BYTES, MemoryNeed, available, memory_need, require_memory
from tests.tiny import write_tiny_llama

GB = 10**9
CPU = torch.device("cpu")
MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    {} kB\nCached: 7000000 kB\n"


def system(root: Path, free_kib: int = 10_000_000, groups: str = "", files: dict[str, str] | None = None) -> Path:
    """A root with proc and sys as the kernel shows them. files: below sys/fs/cgroup."""
    contents = {
        "proc/meminfo": MEMINFO.format(free_kib),
        "proc/self/cgroup": groups,
        "proc/self/statm": "9 9 9 9 9 9 9",
    }
    contents |= {f"sys/fs/cgroup/{name}": text for name, text in (files or {}).items()}
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def group(folder: str, limit: int | str, used: int, cache: int = 0) -> dict[str, str]:
    """A control group of version 2."""
    return {
        f"{folder}memory.max": f"{limit}\n",
        f"{folder}memory.current": f"{used}\n",
        f"{folder}memory.stat": f"anon 5\nfile {cache}\nactive_file {cache // 2}\ninactive_file {cache - cache // 2}\n",
    }


def old_group(folder: str, limit: int, used: int, cache: int = 0) -> dict[str, str]:
    """A control group of version 1."""
    return {
        f"memory/{folder}memory.limit_in_bytes": f"{limit}\n",
        f"memory/{folder}memory.usage_in_bytes": f"{used}\n",
        f"memory/{folder}memory.stat": f"inactive_file 1\ntotal_inactive_file {cache}\ntotal_active_file 0\n",
    }


def test_what_the_kernel_calls_available_counts_with_the_page_cache(tmp_path: Path) -> None:
    assert available("cpu", system(tmp_path, 10_000_000)) == 10_240_000_000


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/", group("", 4 * GB, GB), 3 * GB),
        ("0::/", group("", 4 * GB, 3 * GB, cache=2 * GB), 3 * GB),
        ("0::/", group("", "max", 3 * GB), 10_240_000_000),
        ("0::/a/b", {**group("a/", 5 * GB, GB), **group("a/b/", "max", GB)}, 4 * GB),
        ("0::/a/b", {**group("a/", 5 * GB, GB), **group("a/b/", 2 * GB, GB)}, GB),
        ("0::/the/hosts/path", group("", 2 * GB, GB), GB),
        ("0::/../../other", group("", 2 * GB, GB), GB),
        ("5:cpu:/x\n4:memory:/a", {**old_group("", 2**63 - 4096, GB), **old_group("a/", 2 * GB, GB, cache=7)}, GB + 7),
        ("4:cpu,memory:/the/hosts/path", old_group("", 3 * GB, GB), 2 * GB),
        ("4:memory:/a\n0::/", {**old_group("a/", 3 * GB, GB), **group("", 2 * GB, 2 * GB - 5)}, 5),
        ("0::/", group("", GB, 2 * GB), 0),
        ("0::/", {"memory.max": "garbage", "memory.current": ""}, 10_240_000_000),
        ("no groups here", {}, 10_240_000_000),
    ],
)  # fmt: skip
def test_the_least_of_all_limits_counts(tmp_path: Path, groups: str, files: dict[str, str], expected: int) -> None:
    assert available("cpu", system(tmp_path, groups=groups, files=files)) == expected


def test_this_machine_has_some() -> None:
    assert 10**7 < available() < 10**15


def test_a_limit_of_address_space_counts_and_the_real_model_is_refused_under_it(model_path: Path) -> None:
    code = """
import resource, sys
from engine import Engine, OutOfMemory
from engine.memory import available
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 1_200_000_000,) * 2)
print(available())
try:
    Engine.load(sys.argv[1], kernels="torch")
except OutOfMemory as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code, str(model_path)], capture_output=True, text=True, check=True)
    free, message = result.stdout.splitlines()
    assert 1_150_000_000 < int(free) <= 1_200_000_000
    assert "needs 1.2 GB (651 MB of weights, 377 MB of KV cache for 8,192 tokens" in message
    assert " GB are free: choose a smaller context (--context " in message


def test_what_fits_passes() -> None:
    require_memory("tiny", MemoryNeed(weights=10, kv=10, context=8, working=10), "cpu")


def test_a_refusal_has_all_figures_and_a_context_that_fits() -> None:
    free = available()
    need = MemoryNeed(weights=free // 2, kv=2 * free, context=8192, working=GB // 10)
    with pytest.raises(OutOfMemory) as caught:
        require_memory("big-model", need)
    message = str(caught.value)
    assert message.startswith(f"big-model needs {need.total / 1e9:,.1f} GB ({need.weights / 1e9:,.1f} GB of weights")
    assert "GB of KV cache for 8,192 tokens" in message
    assert "are free: choose a smaller context (--context " in message
    assert "\n" not in message
    suggested = int(message.split("--context ")[1].split()[0])
    assert 0 < suggested < 8192
    assert suggested % 256 == 0
    require_memory("big-model", MemoryNeed(need.weights, need.kv * suggested // 8192, suggested, need.working))


def test_where_no_context_helps_none_is_suggested() -> None:
    with pytest.raises(OutOfMemory, match="choose a smaller model") as caught:
        require_memory("huge", MemoryNeed(weights=10**16, kv=GB, context=8192, working=0))
    assert "--context" not in str(caught.value)


@given(
    weights=st.integers(0, 10**12), per_token=st.integers(1, 10**7), context=st.integers(1, 10**6),
    working=st.integers(0, 10**10), memory=st.integers(0, 10**13),
)  # fmt: skip
def test_the_largest_context_is_the_last_that_fits(
    weights: int, per_token: int, context: int, working: int, memory: int
) -> None:
    largest = MemoryNeed(weights, per_token * context, context, working).largest_context(memory)
    assert largest == 0 or weights + working + per_token * largest <= memory
    assert weights + working + per_token * (largest + 1) > memory


def test_the_need_is_counted_from_the_file(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_tiny_llama(tmp_path / "tiny.gguf", layers=3, hidden=64, heads=4, kv_heads=2))
    need = memory_need(checkpoint, 100, torch.bfloat16, CPU)
    assert need.kv == 2 * 3 * 2 * 16 * 100 * 2
    assert need.weights == checkpoint.parameters * 2
    assert need.context == 100
    assert memory_need(checkpoint, 200, torch.float32, CPU).kv == 4 * need.kv


@pytest.mark.parametrize("kernels", ["torch", "native"])
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="peak memory is read as Linux tells it")
def test_the_real_model_takes_what_was_foretold(kernels: str, model_path: Path) -> None:
    """Load the default model and fill its context, in a process of its own; its memory is what it did not share."""
    code = """
import json, sys, torch, psutil
from pathlib import Path
from engine import Engine, Sampling
from engine.checkpoint import open_checkpoint
from engine.memory import memory_need
path, kernels, context = Path(sys.argv[1]), sys.argv[2], 1024
place = torch.float32, torch.device("cpu")
need = memory_need(open_checkpoint(path), context, *place, native=kernels == "native")
def own(): return psutil.Process().memory_full_info().uss
before = own()
with Engine.load(path, context=context, kernels=kernels) as engine:
    loaded = own() - before
    list(engine.generate([100 + i for i in range(context - 8)], Sampling(max_tokens=8, ignore_eos=True)))
    found = {"weights": need.weights, "kv": need.kv, "total": need.total}
    print(json.dumps({**found, "loaded": loaded, "full": own() - before}))
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", code, str(model_path), kernels]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = json.loads(result.stdout)
    file = model_path.stat().st_size  # its pages are mapped, and are this process's own as long as no other has them
    compiler = WORKING_BYTES if kernels == "native" else 0  # numba and its libraries, counted to the working space
    assert found["weights"] * 0.95 < found["loaded"] < found["weights"] * 1.05 + file + compiler
    assert found["weights"] + found["kv"] < found["full"] + file
    assert found["full"] - file < found["total"]
