"""The browser's files: one address for each version of their content, so that they can be cached for good."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

ASSETS = Path(__file__).parent / "assets"
STYLES = (
    "tokens",
    "gradio",
    "shell",
    "controls",
    "topbar",
    "sidebar",
    "transcript",
    "thoughts",
    "markdown",
    "composer",
    "drawer",
    "panel",
    "popups",
    "models",
    "shortcuts",
    "account",
    "transfer",
    "inside",
    "elsewhere",
)
CACHE = "public, max-age=31536000, immutable"


class _Cached(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = CACHE
        return response


@cache
def address() -> str:
    """The path under which this version of the files is served."""
    digest = hashlib.sha256()
    for file in sorted(ASSETS.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(ASSETS)).encode() + b"\0" + file.read_bytes() + b"\0")
    return f"/fireside/{digest.hexdigest()[:16]}"


def mount_assets(app: FastAPI) -> None:
    """Serve the files; must come before Gradio is mounted at "/"."""
    app.mount(address(), _Cached(directory=ASSETS), name="assets-of-fireside")


@cache
def head() -> str:
    """What goes right after `<head>`: it must run before Gradio starts, or the page would flash."""
    base = address()
    styles = "".join(f'<link rel="stylesheet" href="{base}/css/{name}.css">' for name in STYLES)
    early = (ASSETS / "js" / "early.js").read_text(encoding="utf-8")
    return (
        f"<script>{early}</script>{styles}"
        f'<link rel="icon" type="image/svg+xml" href="{base}/favicon.svg">'
        f'<link rel="apple-touch-icon" href="{base}/icon-192.png">'
        f'<link rel="manifest" href="{base}/manifest.webmanifest">'
        f'<script type="module" src="{base}/js/main.js"></script>'
    )
