"""Damaged model files, thousands of them: loaded or refused in one line, in little time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import TARGETS

ROOT = Path(__file__).resolve().parents[2]
FEW, MANY = 150, 20_000
MAX_SECONDS = 2.0
MAX_MEMORY = 64 * 2**20
# Limits of the address space, which only Linux enforces; elsewhere the same files go through without.
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory as only Linux can")


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_damaged_models_load_or_are_refused(count: int, kind: str, tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.fuzz_child", kind, "0", str(count), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        timeout=60 + count,
    )
    seed = (tmp_path / "seed").read_text().strip() if (tmp_path / "seed").exists() else "none"
    assert child.returncode == 0, f"{kind}: died with {child.returncode} at seed {seed}: {child.stderr[-2000:]}"
    report = json.loads(child.stdout.splitlines()[-1])
    print(f"{kind}: {report}")
    assert not report["failures"], f"{kind}: {report['failures'][0]}"
    assert report["slowest_seconds"] < MAX_SECONDS, f"{kind}: seed {report['slowest_seed']}"
    assert report["more_memory"] < MAX_MEMORY + report["files"]
    assert sum(report["outcomes"].values()) == count
    # Damage that nobody notices, or that nothing survives, tests nothing.
    assert report["outcomes"].get("loaded", 0) > count // 100
    assert count - report["outcomes"].get("loaded", 0) > count // 5
