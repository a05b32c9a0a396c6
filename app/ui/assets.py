"""The browser's files: one address for each version of their content, so that they can be cached for good.

A page asks for many files as it opens, and is not drawn before they are there. So all style sheets, Gradio's too, are
one file and our modules another, Gradio's modules are announced at once, and files are answered from memory.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from functools import cache
from pathlib import Path

from fastapi import FastAPI
from gradio.route_utils import BUILD_PATH_LIB
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from app.ui.bundle import bundle

ASSETS = Path(__file__).parent / "assets"
GRADIO_ASSETS = Path(BUILD_PATH_LIB)
STYLES = (
    "tokens",
    "gradio",
    "shell",
    "controls",
    "topbar",
    "list",
    "sidebar",
    "message",
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
    "inside/tokens",
    "inside/alternatives",
    "inside/provenance",
    "inside/view",
    "inside/compare",
    "elsewhere",
)
# The components of Gradio that our page is made of.
KINDS = ("html", "row", "column", "form", "textbox", "dropdown", "slider")
# Ours as one file, which runs as if it were main.js.
STYLE, SCRIPT = "css/page.css", "js/page.js"
CACHE = "public, max-age=31536000, immutable"


class CachedFiles:
    """ASGI application that answers with the files of a folder, kept in memory; they never change while it runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._files: dict[str, Response] = {}

    def add(self, path: str, text: str) -> None:
        """Answer with a text that is in no file."""
        self._files[path] = self._response(path, text.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        response = self._files.get(path)
        if response is None:
            file = (self._folder / path).resolve()
            if not file.is_file() or not file.is_relative_to(self._folder):
                await PlainTextResponse("There is nothing at this address.\n", 404)(scope, receive, send)
                return
            response = self._files[path] = self._response(path, file.read_bytes())
        await response(scope, receive, send)

    @staticmethod
    def _response(path: str, body: bytes) -> Response:
        kind = "text/javascript" if path.endswith(".js") else mimetypes.guess_type(path)[0]
        return Response(body, media_type=kind or "application/octet-stream", headers={"Cache-Control": CACHE})


@cache
def address() -> str:
    """The path under which this version of the files is served."""
    digest = hashlib.sha256()
    for file in sorted(ASSETS.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(ASSETS)).encode() + b"\0" + file.read_bytes() + b"\0")
    digest.update(_gradio_style().encode())
    return f"/fireside/{digest.hexdigest()[:16]}"


def mount_assets(app: FastAPI) -> None:
    """Serve the files, and Gradio's; must come before Gradio is mounted at "/"."""
    files = CachedFiles(ASSETS)
    files.add(SCRIPT, bundle(ASSETS, "js/main.js"))
    ours = [(ASSETS / "css" / f"{name}.css").read_text("utf-8") for name in STYLES]
    files.add(STYLE, "\n".join([*ours, _gradio_style()]))
    app.mount(address(), files, name="assets-of-fireside")
    app.mount("/assets", CachedFiles(GRADIO_ASSETS), name="assets-of-gradio")


@cache
def _gradio_style() -> str:
    """Gradio's style sheets; none of them refers to another file."""
    sheets = [name for name in gradio_files() if name.endswith(".css")]
    return "\n".join((GRADIO_ASSETS / name).read_text("utf-8") for name in sheets)


@cache
def gradio_files() -> list[str]:
    """The files with which Gradio draws our page, as far as they can be told from its modules.

    Each is announced by the one before only when that has run. Vite, which builds them, lists in each module what its
    later imports need, and refers to that by number. Where they are built otherwise, there are fewer or none.
    """
    page = (GRADIO_ASSETS.parent / "index.html").read_text("utf-8")
    begins = re.findall(r'(?:src|href)="\./assets/([\w-]+\.(?:js|css))"', page)
    found = dict.fromkeys(begins)
    for name in begins:
        if name.endswith(".js"):
            found |= dict.fromkeys(_listed(name))
    for name in [*found]:
        if name.startswith("Index-") and name.endswith(".js"):
            found |= dict.fromkeys(_later(name, r"/Blocks-"))
        if name.startswith("core-") and name.endswith(".js"):
            for kind in KINDS:
                found |= dict.fromkeys(_later(name, rf"\b{kind}:\{{[^{{}}]*component:"))
    return list(found)


def _listed(name: str) -> list[str]:
    listed = re.search(r"m\.f=\[([^\]]*)\]", (GRADIO_ASSETS / name).read_text("utf-8"))
    return re.findall(r'"(?:\./)?([^"]*)"', listed[1]) if listed else []


def _later(name: str, what: str) -> list[str]:
    """What a module's import of `what` needs."""
    listed = _listed(name)
    numbers = re.search(what + r"[^\[]*?__vite__mapDeps\(\[([\d,]+)\]\)", (GRADIO_ASSETS / name).read_text("utf-8"))
    wanted = [int(number) for number in numbers[1].split(",")] if numbers else []
    return [listed[number] for number in wanted if number < len(listed)]


def _announced(name: str) -> str:
    """A module is fetched at once; a style sheet is there already, as Gradio sees by its link."""
    kind = 'rel="modulepreload"' if name.endswith(".js") else 'rel="stylesheet" disabled'
    return f'<link {kind} href="/assets/{name}">'


@cache
def head() -> str:
    """What goes right after `<head>`: it must run before Gradio starts, or the page would flash."""
    base = address()
    early = (ASSETS / "js" / "early.js").read_text(encoding="utf-8")
    announced = "".join(map(_announced, gradio_files()))
    return (
        f'<script>{early}</script><link rel="stylesheet" href="{base}/{STYLE}">'
        f'<link rel="icon" type="image/svg+xml" href="{base}/favicon.svg">'
        f'<link rel="apple-touch-icon" href="{base}/icon-192.png">'
        f'<link rel="manifest" href="{base}/manifest.webmanifest">'
        f'{announced}<script type="module" async src="{base}/{SCRIPT}"></script>'
    )
