"""Gradio as it is imported by the page writes no stubs, neither its own nor of other components."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import app.ui
from app.ui.stubs import leave_out_stubs

COMPONENT = """
import gradio

class Lamp(gradio.HTML):
    EVENTS = ["click"]
"""


def test_a_component_gets_no_stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.ui.build_page
    before = list(sys.meta_path)
    leave_out_stubs()
    assert sys.meta_path == before
    file = tmp_path / "lamp.py"
    file.write_text(COMPONENT)
    spec = spec_from_file_location("lamp", file)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lamp", module)
    spec.loader.exec_module(module)
    assert module.Lamp("").get_config()["name"] == "lamp"
    assert [each.name for each in tmp_path.glob("*.py*")] == ["lamp.py"]
