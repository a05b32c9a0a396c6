"""The page's modules as one file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.ui.assets import ASSETS, GRADIO_ASSETS, gradio_files
from app.ui.bundle import CannotBundle, bundle


def write(root: Path, **modules: str) -> None:
    for name, source in modules.items():
        file = root / "js" / f"{name}.js"
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)


def test_modules_follow_those_that_they_import_each_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        main='import { a as one } from "./a.js";\nimport "./b.js";\nimport x from "../vendor/x.js";\none(x);\n',
        a='import { b } from "./b.js";\nexport function a() {\n  return b;\n}\n',
        b="export const b = 1;\n",
    )
    text = bundle(tmp_path, "js/main.js")
    assert text.startswith('import x from "../vendor/x.js";\n')
    assert re.findall(r"^const (\S+) = \(", text, re.MULTILINE) == ["$js_b_js", "$js_a_js", "$js_main_js"]
    assert "const { a: one } = $js_a_js;" in text
    assert "return { a };" in text


@pytest.mark.parametrize("source", ['import * as all from "./b.js";\n', "export let x = 1;\n", "export default 1;\n"])
def test_what_it_would_get_wrong_is_refused(tmp_path: Path, source: str) -> None:
    write(tmp_path, main=source, b="export const b = 1;\n")
    with pytest.raises(CannotBundle, match=r"js/main\.js: "):
        bundle(tmp_path, "js/main.js")


def test_modules_that_import_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path, main='import { a } from "./a.js";\na();\n', a='import "./main.js";\nexport const a = 1;\n')
    with pytest.raises(CannotBundle, match=r"js/main\.js imports js/a\.js imports js/main\.js"):
        bundle(tmp_path, "js/main.js")


def test_no_module_of_the_page_is_left_out() -> None:
    text = bundle(ASSETS, "js/main.js")
    modules = {file.relative_to(ASSETS / "js") for file in (ASSETS / "js").rglob("*.js")} - {Path("early.js")}
    missing = [path for path in modules if "$js_" + re.sub(r"\W", "_", str(path)) not in text]
    assert missing == []


def test_what_gradio_draws_the_page_with_is_announced() -> None:
    """The other half, that the page asks for nothing else, is seen in the browser."""
    files = gradio_files()
    assert {name.partition("-")[0] for name in files} >= {"index", "Index", "core", "Blocks", "HTML"}
    assert all((GRADIO_ASSETS / name).is_file() for name in files)


def test_gradios_style_sheets_are_in_ours_its_own_first() -> None:
    """It says how every text box looks, and its parts say otherwise with the same weight: the last of them counts."""
    sheets = [name for name in gradio_files() if name.endswith(".css")]
    assert sheets[0].startswith("index-")
    assert len(sheets) > 10
