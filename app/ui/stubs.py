"""Gradio without its stubs for editors, which it makes anew at every start."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

MODULE = "gradio.component_meta"
MAKES_STUBS = "create_or_modify_pyi"


def leave_out_stubs() -> None:
    """Call it before Gradio is imported; calling it again does nothing.

    For each of its 80 components Gradio parses the source twice to see whether the stub beside it is as it should be:
    half of the time that importing it takes.
    """
    if MODULE not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the one module as usual, and replaces its function once it has run."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def without(module: ModuleType) -> None:
                execute(module)
                if hasattr(module, MAKES_STUBS):
                    setattr(module, MAKES_STUBS, lambda *_: None)

            spec.loader.exec_module = without  # type: ignore[method-assign]
        return spec
