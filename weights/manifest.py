"""The note beside a model's files that says where they come from and what they should be."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from weights.errors import UnknownModel, UnsafeName
from weights.file_names import check_file_name
from weights.hub import HubFile
from weights.reference import parse_reference

MANIFEST = "fireside.json"
MAX_MANIFEST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """source: what the user asked for. commit: the one the files are from. licence: as the hub gave it."""

    source: str
    endpoint: str
    commit: str
    licence: str
    files: tuple[HubFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def model_in(self, home: Path) -> Path:
        """What the engine opens: the first .gguf file, or the folder of safetensors."""
        ggufs = sorted(file.name for file in self.files if file.name.lower().endswith(".gguf"))
        return home / ggufs[0] if ggufs else home

    def damage(self, home: Path) -> str:
        """What is wrong with the files in the folder, by their sizes; empty where nothing is."""
        for file in self.files:
            try:
                size = (home / file.name).stat().st_size
            except OSError:
                return f"{file.name} is missing"
            if size != file.bytes:
                return f"{file.name} has {size:,} bytes instead of {file.bytes:,}"
        return ""


def write_manifest(manifest: Manifest, home: Path) -> None:
    """Write it into the folder, whole or not at all."""
    draft = home / f"{MANIFEST}.new"
    with draft.open("w", encoding="utf-8") as out:
        json.dump(asdict(manifest), out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(home / MANIFEST)


def read_manifest(home: Path) -> Manifest | None:
    """The folder's manifest; None where there is none, or none that can be relied on."""
    path = home / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            return None
        return _parsed(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UnknownModel, UnsafeName):
        return None


def _parsed(value: Any) -> Manifest:
    texts = {key: value[key] for key in ("source", "endpoint", "commit", "licence")}
    files = tuple(HubFile(**file) for file in value["files"])
    if not files or not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("not a manifest")
    parse_reference(texts["source"])
    for file in files:
        if not isinstance(file.name, str) or isinstance(file.bytes, bool) or not isinstance(file.bytes, int):
            raise TypeError("not a manifest")
        check_file_name(file.name, MANIFEST)
    return Manifest(**texts, files=files)
