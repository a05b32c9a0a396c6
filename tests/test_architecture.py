"""The import rule of the rooms: app may import engine and weights, and these neither app nor each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE_AND_STORE = {"gradio", "gradio_client", "fastapi", "uvicorn", "sqlite_utils", "sqlite3", "click"}
FORBIDDEN = {
    "engine": {"app", "weights", "huggingface_hub", *PAGE_AND_STORE},
    "weights": {"app", "engine", "torch", *PAGE_AND_STORE},
}


def imports(node: ast.AST) -> set[str]:
    """Top-level names of the modules that a piece of code imports."""
    found: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            found |= {alias.name.split(".")[0] for alias in inner.names}
        elif isinstance(inner, ast.ImportFrom) and inner.module and not inner.level:
            found.add(inner.module.split(".")[0])
    return found


def modules(room: str) -> list[Path]:
    found = sorted((ROOT / room).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(bad)
        for path in modules(room)
        if (bad := imports(ast.parse(path.read_text(encoding="utf-8"))) & FORBIDDEN[room])
    }
    assert not wrong


def test_the_rule_sees_every_way_to_import() -> None:
    code = "import app.store as s\nfrom app import chats\ndef f():\n    from gradio.blocks import x\n"
    assert imports(ast.parse(code)) == {"app", "gradio"}


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("from engine import Engine", "gguf tokenizers transformers gradio sqlite_utils huggingface_hub click"),
        ("import app.cli", "torch gradio sqlite_utils transformers"),
        ("import app.server", "torch numba transformers"),
    ],
)
def test_it_imports_where_these_are_not_installed(code: str, absent: str) -> None:
    """None in `sys.modules` makes an import fail; the second case keeps `fireside --help` quick, and the third
    the page, which is there before torch is."""
    block = f"import sys; sys.modules.update(dict.fromkeys({absent.split()}))"
    subprocess.run([sys.executable, "-c", f"{block}; {code}"], check=True, cwd=ROOT)
