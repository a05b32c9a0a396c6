"""What lies in the models folder, and how one thing of it is removed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from weights.catalog import CATALOG, megabytes
from weights.errors import DigestMismatch, FolderNotWritable, UnknownModel
from weights.manifest import MANIFEST, read_manifest
from weights.pull import STAGING_SUFFIX
from weights.reference import split_parts
from weights.verify import find

Kind = Literal["catalog", "hub", "own"]


@dataclass(frozen=True, slots=True)
class Installed:
    """A model in the models folder, or the beginning of one.

    name: what it is called on the command line. path: what the engine opens. bytes: on disk. problem: one line where
    it cannot be used as it is, else empty. owned: what is removed with it, each directly or one level below the folder.
    licence: as the catalog or the hub says, empty where it is not known. whole_bytes: what it will have when all of it
    has arrived; 0 where it has.
    """

    name: str
    kind: Kind
    path: Path
    bytes: int
    problem: str
    owned: tuple[Path, ...]
    licence: str = ""
    whole_bytes: int = 0


def installed(folder: Path) -> list[Installed]:
    """Everything in the models folder that is a model or was to become one, by name; empty where there is no folder."""
    try:
        children = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise FolderNotWritable(f"cannot read the models folder {folder} ({error.strerror or error})") from error
    found = [model for child in children for model in _models_in(child, folder)]
    return sorted(found, key=lambda model: model.name)


def remove(name: str, folder: Path) -> Installed:
    """Delete a model from the models folder; returns what it was. Links are removed, never what they point at.

    name: as `installed` gives it, or a reference of the hub. Raises UnknownModel if there is none of that name,
    FolderNotWritable if the operating system refuses.
    """
    model = removable(name, folder)
    try:
        for path in model.owned:
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
            else:
                shutil.rmtree(path)
    except OSError as error:
        raise FolderNotWritable(f"cannot remove {model.name} ({error.strerror or error}): {error.filename}") from error
    return model


def removable(name: str, folder: Path) -> Installed:
    """The model of that name in the models folder; raises UnknownModel."""
    models = installed(folder)
    for model in models:
        if model.name == name:
            return model
    there = ", ".join(model.name for model in models[:12]) or "nothing"
    raise UnknownModel(f"no model named {name!r:.120} is in {folder}: there is {there}")


def _models_in(child: Path, folder: Path) -> Iterator[Installed]:
    if child.name.startswith("."):
        return
    if child.suffix.lower() == ".gguf" and child.is_file():
        yield from _own_ggufs([child], folder)
    elif child.is_dir():
        yield from _models_in_folder(child, folder)


def _models_in_folder(home: Path, folder: Path) -> Iterator[Installed]:
    manifest = read_manifest(home)
    lock = folder / f".{home.name.removesuffix(STAGING_SUFFIX)}.lock"
    entry = CATALOG.get(home.name)
    if manifest and home.name.endswith(STAGING_SUFFIX):
        size = _size(home)
        problem = f"incomplete, {megabytes(size)} of {megabytes(manifest.bytes)}: fireside pull {manifest.source}"
        yield Installed(
            manifest.source, "hub", home, size, problem, (home, lock), manifest.licence, whole_bytes=manifest.bytes
        )
    elif manifest:
        damage = manifest.damage(home)
        problem = f"damaged ({damage}): fireside pull {manifest.source}" if damage else ""
        yield Installed(
            manifest.source, "hub", manifest.model_in(home), _size(home), problem, (home, lock), manifest.licence
        )
    elif entry:
        path = entry.path_in(folder)
        problem = ""
        if not path.exists():
            return
        try:
            find(entry, folder)
        except DigestMismatch as error:
            problem = str(error)
        yield Installed(entry.name, "catalog", path, _size(path), problem, (home,), entry.licence)
    elif (home / "config.json").is_file():
        yield Installed(home.name, "own", home, _size(home), "", (home,))
    elif home.name.endswith(STAGING_SUFFIX):
        problem = f"incomplete, and its {MANIFEST} is missing or damaged: fireside rm {home.name}"
        yield Installed(home.name, "own", home, _size(home), problem, (home,))
    else:
        with contextlib.suppress(OSError):
            yield from _own_ggufs(sorted(path for path in home.iterdir() if path.suffix.lower() == ".gguf"), folder)


def _own_ggufs(files: list[Path], folder: Path) -> Iterator[Installed]:
    for file in files:
        parts = tuple(file.with_name(name) for name in split_parts(file.name))
        if parts[0] != file or not file.is_file():
            continue
        owned = tuple(part for part in parts if part.exists())
        link = file.parent if file.parent != folder and file.parent.is_symlink() else None
        size = sum(_size(part) for part in owned)
        problem = f"{len(parts) - len(owned)} of its {len(parts)} parts are missing" if len(owned) < len(parts) else ""
        name = file.relative_to(folder).as_posix()
        yield Installed(name, "own", file, size, problem, (link,) if link else owned)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what vanishes meanwhile counts nothing."""
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    total = 0
    for file in files:
        with contextlib.suppress(OSError):
            total += file.stat().st_size
    return total
