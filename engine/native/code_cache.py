"""Where compiled code is kept, and whether it is there for this machine; nothing here needs the compiler."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import time
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import platformdirs

FOLDER = "compiled"
READY = "ready"
# Code of other versions goes when it has not been used for so long.
KEPT_SECONDS = 30 * 24 * 3600


@cache
def code_folder() -> Path | None:
    """The folder for the code of just these sources on this machine; None if none can be made.

    numba's own cache looks at the time of one file only, not at those it calls.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    parts = [source.read_bytes() for source in sources]
    parts += [text.encode() for text in (version("numba"), platform.machine(), _processor())]
    root = Path(platformdirs.user_cache_dir("fireside")) / FOLDER
    folder = root / hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return None
        folder.touch()
        for other in root.iterdir():
            if time.time() - other.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
    except OSError:
        return None
    return folder


def missing() -> str | None:
    """Why there can be no compiled code here, whichever the model, and what to do; None if there can."""
    if find_spec("numba") is None:
        return "numba is not installed: pip install 'fireside[native]'"
    if code_folder() is None:
        return "there is no folder to keep its code in: make your cache folder writable"
    return None


def code_is_ready() -> bool:
    """Whether loading the code takes a fraction of a second, instead of the seconds that compiling takes."""
    folder = code_folder()
    return folder is not None and (folder / READY).exists()


def mark_ready() -> None:
    """Called once all of the code has been compiled or loaded."""
    if (folder := code_folder()) is not None:
        (folder / READY).touch()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
