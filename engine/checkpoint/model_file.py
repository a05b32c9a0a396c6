"""Which files of a model may be read: regular ones of its own folder, and never a pickle."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ModelFormatError, ModelNotFound, UnsupportedModel

PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
ZIP = b"PK\x03\x04"
# The opcode PROTO with the protocols 2 to 5; torch.save writes a zip of such, or one alone.
PICKLES = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
ADVICE = "ask its author for safetensors or GGUF, or convert it on a machine you can lose"


def member(folder: Path, name: str) -> Path:
    """The file `name` of a model's folder, whether it is there or not.

    Raises ModelFormatError if the name, or the link of that name, leads out of the folder. Links into the `blobs`
    of a Hugging Face cache, whose snapshots are made of such links, are no way out.
    """
    if not name or name in (".", "..") or len(name.encode("utf-8", "replace")) > 255 or set(name) & set("/\\:\0\n\r"):
        raise ModelFormatError(f"{folder.name} names {name!r:.80}, which is no file of its folder: fetch it again")
    path = folder / name
    if path.is_symlink():
        target, home = path.resolve(), folder.resolve()
        homes = [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]
        if target.parent not in homes:
            raise ModelFormatError(f"{folder.name}/{name} is a link that leads out of the folder: copy the file there")
    return path


def refuse_pickle(path: Path) -> None:
    """Raise UnsupportedModel if the file is a pickle or a zip, whatever it is called.

    A pickle is a program that runs when it is read (torch.load's `weights_only` was bypassed, CVE-2025-32434), so
    none is read. Raises ModelNotFound if there is no such regular file, ModelFormatError if it cannot be read.
    """
    if not path.is_file():  # nor is a pipe, which would never end
        raise ModelNotFound(f"there is no file {path}: fetch the model again")
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise ModelFormatError(f"{path.name} cannot be read: {error.strerror or error}") from error
    # A safetensors file may begin with these bytes as well, the length of its header; the header's brace tells.
    if head.startswith((ZIP, *PICKLES)) and head[8:] != b"{":
        raise UnsupportedModel(path.name, f"it is a pickle, which may run code and is never read: {ADVICE}")


def pickles_in(folder: Path) -> list[Path]:
    """The files of a folder that are called as pickles are."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICKLE_SUFFIXES)
