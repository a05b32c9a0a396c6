"""Large imports: quick, in little memory, and beside a page that answers."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import pytest

from benchmarks.transfer import Beside, Shape, alone, beside, write_export, write_long_text

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of the memory in /proc")


def imported(folder: Path, messages: int) -> Beside:
    """So many messages, sent to a server that others ask meanwhile."""
    found = beside(folder, write_export(folder / "export.json", Shape(messages, 20, 700)))
    assert found.summary.startswith("export.json (ChatGPT):")
    assert found.summary.endswith(f"{messages // 20:,} imported; {messages:,} messages added")
    for waits in found.waits.values():
        assert len(waits) > 5
        # A tenth of a second is felt as at once; other tests may run beside this one.
        assert statistics.median(waits) < 200
        assert max(waits) < 2_000
    assert found.megabytes - found.before < 300
    return found


def test_the_server_answers_while_it_imports(tmp_path: Path) -> None:
    imported(tmp_path, 3_000)


@pytest.mark.slow
def test_fifty_thousand_messages_in_a_minute(tmp_path: Path) -> None:
    found = imported(tmp_path, 50_000)
    assert found.seconds < 60
    assert found.steps > 20


@pytest.mark.slow
def test_half_a_gigabyte_needs_no_more_memory_than_a_small_file(tmp_path: Path) -> None:
    path = write_export(tmp_path / "export.json", Shape(52_000, 20, 10_000))
    assert path.stat().st_size > 500e6
    found = alone(path, tmp_path / "home")
    assert found.said.endswith("2,600 imported; 52,000 messages added")
    assert found.megabytes < 300
    assert found.steps > 1_000


@pytest.mark.slow
def test_a_text_of_a_gigabyte_is_refused(tmp_path: Path) -> None:
    found = alone(write_long_text(tmp_path / "text.json", 1 << 30), tmp_path / "home")
    assert "has a text of more than 16 MB" in found.said
    assert found.seconds < 5
    assert found.megabytes < 300
