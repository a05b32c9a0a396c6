"""A model of the Hugging Face hub, as a person writes it: hf:OWNER/NAME[@REVISION][:FILE.gguf]."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from weights.errors import UnknownModel, UnsafeName
from weights.file_names import check_file_name

PREFIX = "hf:"
FORM = "hf:OWNER/NAME, hf:OWNER/NAME:FILE.gguf or hf:OWNER/NAME@REVISION"
# The hub's own rules for repository names, and git's for revisions, as far as this needs them.
PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
PATTERN = re.compile(
    rf"hf:(?P<owner>{PART})/(?P<name>{PART})(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9_./-]{{0,119}}))?(?::(?P<file>.+))?"
)
SPLIT = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
# File systems end a name at 255 bytes; the staging folder and the lock add to it.
MAX_FOLDER_NAME = 240
MAX_PARTS = 1000


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository, a revision of it (None for its main branch) and a .gguf file in it (None for the whole model).

    The file of a split GGUF is its first part.
    """

    owner: str
    name: str
    revision: str | None = None
    file: str | None = None

    @property
    def repository(self) -> str:
        return f"{self.owner}/{self.name}"

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.repository}{revision}" + (f":{self.file}" if self.file else "")

    @property
    def folder_name(self) -> str:
        """What its folder is called. No two references share one: "--" occurs in no repository's name."""
        name = f"{self.owner}--{self.name}"
        if self.revision:
            name += "@" + quote(self.revision, safe="")
        return name + ("--" + quote(self.file, safe="") if self.file else "")

    def path_in(self, folder: Path) -> Path:
        """Its folder in a models folder."""
        return folder / self.folder_name


def parse_reference(text: str) -> HubReference:
    """Read what a person wrote; raises UnknownModel where it is no such reference."""
    match = PATTERN.fullmatch(text)
    if match is None or re.search(r"--|\.\.|\.git$", f"{match['owner']}/{match['name']}"):
        raise UnknownModel(f"{text!r:.120} names no repository of the hub: write {FORM}")
    if ".." in (match["revision"] or ""):
        raise UnknownModel(f"{match['revision']!r:.80} cannot be a revision: write a branch, a tag or a commit")
    reference = HubReference(match["owner"], match["name"], match["revision"], _first_part(match["file"]))
    if len(reference.folder_name) > MAX_FOLDER_NAME:
        raise UnknownModel(f"{text!r:.120} is too long for a folder's name ({len(reference.folder_name)} characters)")
    return reference


def split_parts(file: str) -> tuple[str, ...]:
    """All files of a GGUF of which `file` is one: itself, or each part of a split one in order."""
    match = SPLIT.fullmatch(file)
    count = int(match["count"]) if match else 0
    if match is None or count > MAX_PARTS:
        return (file,)
    return tuple(f"{match['stem']}-{part:05}-of-{match['count']}{file[-5:]}" for part in range(1, count + 1))


def _first_part(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        check_file_name(file, "the name given")
    except UnsafeName as error:
        raise UnknownModel(str(error)) from error
    if not file.lower().endswith(".gguf"):
        raise UnknownModel(f"{file!r:.80} is no .gguf file: write {FORM}")
    match = SPLIT.fullmatch(file)
    if match and not 1 <= int(match["part"]) <= int(match["count"]):
        raise UnknownModel(f"{file!r:.80} cannot be a part of a split file: parts go from 1 to their count")
    return split_parts(file)[0]
