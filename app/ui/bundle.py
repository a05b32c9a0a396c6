"""The page's own modules as one file.

A page that asks for sixty files, one after the other as each names the next, opens half a second later. The modules
stay what they are, files that a browser could also load one by one; here each becomes a function that returns its
exports, in the order in which a browser would run them.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

IMPORT = re.compile(r'^import\s+(?:(?P<names>\{[^}]*\}|\w+)\s+from\s+)?"(?P<path>\.[^"]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (?P<name>\w+))", re.MULTILINE)
LEFT_OVER = re.compile(r"^(?:import\b(?!\()|export\b).*", re.MULTILINE)


class CannotBundle(Exception):
    """A module has an import or export of a form that is not known here, or imports itself by way of others."""


def bundle(root: Path, entry: str) -> str:
    """One module in place of `entry` and all that it imports, to be served beside `entry`.

    Paths are relative to root. Modules elsewhere than in the entry's folder are imported as before.
    Raises CannotBundle.
    """
    folder = posixpath.dirname(entry) + "/"
    order: dict[str, None] = {}
    _add(root, entry, folder, order, ())
    outside: dict[str, None] = {}
    inside = [_wrapped(root, path, folder, outside) for path in order]
    return "".join([*outside, *inside])


def _add(root: Path, path: str, folder: str, order: dict[str, None], above: tuple[str, ...]) -> None:
    """Add a module after those that it imports; `above`: by way of which."""
    if path in above:
        raise CannotBundle(" imports ".join((*above[above.index(path) :], path)))
    if path in order:
        return
    for match in IMPORT.finditer((root / path).read_text("utf-8")):
        imported = _target(path, match)
        if imported.startswith(folder):
            _add(root, imported, folder, order, (*above, path))
    order[path] = None


def _wrapped(root: Path, path: str, folder: str, outside: dict[str, None]) -> str:
    def taken(match: re.Match[str]) -> str:
        imported, names = _target(path, match), match["names"]
        if not imported.startswith(folder):
            outside[match[0].replace(match["path"], posixpath.relpath(imported, folder))] = None
            return ""
        return f"const {names.replace(' as ', ': ')} = {_name(imported)};\n" if names else ""

    source = (root / path).read_text("utf-8")
    exported = [match["name"] for match in EXPORT.finditer(source)]
    body = EXPORT.sub("", IMPORT.sub(taken, source))
    if odd := LEFT_OVER.search(body):
        raise CannotBundle(f"{path}: {odd[0].strip()}")
    return f"const {_name(path)} = (() => {{\n{body}return {{ {', '.join(exported)} }};\n}})();\n"


def _target(path: str, match: re.Match[str]) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), match["path"]))


def _name(path: str) -> str:
    return "$" + re.sub(r"\W", "_", path)
