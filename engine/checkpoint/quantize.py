"""Weights in fewer bits than the model's files have: quantised once, kept as a GGUF file, checked when loaded."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np
import platformdirs

from engine.checkpoint.gguf_source import GGUFSource
from engine.checkpoint.source import StoredTensor, TensorSource
from engine.errors import EngineError, ModelFormatError, OutOfMemory
from engine.families.family import Layout

# Names of GGUF's storage types. Embedding and head stay in 8 bits: with 4, answers change visibly.
MATRICES: Mapping[str, str] = {"int4": "Q4_1", "int8": "Q8_0"}
EMBEDDINGS = "Q8_0"
BLOCK = 32
FLOATS = ("F32", "F16", "BF16")
FOLDER = "quantized"
# Models kept; the one used longest ago makes room.
KEPT = 4
DIGEST = ".sha256"
# Changes with the way numbers are rounded.
VERSION = 1

log = logging.getLogger(__name__)


def quantized(
    source: TensorSource,
    layout: Layout,
    quantize: str,
    folder: Path | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> TensorSource:
    """The tensors of `source` with its matrices in 4 or 8 bits; tensors that are quantised already stay as they are.

    folder: where the result is kept, so that the second load is quick; by default in the user's cache folder. What is
    found there is used only if its SHA-256 is right and it was made from these very files. on_progress: hears the
    share done, 0 to 1, when it is made.

    Raises EngineError for an unknown `quantize`, OutOfMemory if the disk is full.
    """
    if quantize not in MATRICES:
        raise EngineError(f"unknown quantisation {quantize!r:.40}: choose {' or '.join(MATRICES)}")
    targets = {name: _target(name, stored, layout, quantize) for name, stored in source.tensors.items()}
    if all(target == source.tensors[name].quantization for name, target in targets.items()):
        return source
    folder = folder or Path(platformdirs.user_cache_dir("fireside")) / FOLDER
    path = folder / f"{_key(source.files, quantize)}.gguf"
    if _is_sound(path):
        try:
            path.touch()
            return GGUFSource(path)
        except ModelFormatError as error:
            log.warning("%s is made again: %s", path, error)
    _write(source, targets, path, on_progress)
    _make_room(folder)
    return GGUFSource(path)


def _target(name: str, stored: StoredTensor, layout: Layout, quantize: str) -> str:
    """The storage type a tensor is to have."""
    names = layout.names
    part = name.removeprefix(layout.prefix).removesuffix(".weight")
    matrix = len(stored.shape) == 2 and stored.shape[1] % BLOCK == 0 and stored.quantization in FLOATS
    if not matrix or layout.transposed or part == names.positions or _is_router(part, layout):
        return stored.quantization
    return EMBEDDINGS if part in (names.embedding, names.head) else MATRICES[quantize]


def _is_router(part: str, layout: Layout) -> bool:
    router = layout.names.router
    if router is None:
        return False
    before, _, after = router.partition("{}")
    return part.startswith(before) and part.endswith(after)


def _write(
    source: TensorSource, targets: Mapping[str, str], path: Path, on_progress: Callable[[float], None] | None
) -> None:
    """Write all tensors into a file, then its digest; one that is broken off has no digest and is not used."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(DIGEST).unlink(missing_ok=True)
        sizes = {name: _nbytes(source.tensors[name], target) for name, target in targets.items()}
        _refuse_without_room(path.parent, sum(sizes.values()))
        writer = GGUFWriter(part, "quantized")
        for name, target in targets.items():
            shape, kind = source.tensors[name].shape, GGMLQuantizationType[target]
            writer.add_tensor_info(name, shape, np.dtype(np.float32), sizes[name], kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for place, (name, target) in enumerate(targets.items()):
            if target == source.tensors[name].quantization:
                writer.write_tensor_data(source.stored(name).numpy())
            else:
                numbers = source.load(name).float().numpy()
                writer.write_tensor_data(quants.quantize(numbers, GGMLQuantizationType[target]))
            if on_progress:
                on_progress((place + 1) / len(targets))
        writer.close()
        digest = _digest(part)
        part.replace(path)
        path.with_suffix(DIGEST).write_text(digest)
    except OSError as error:
        raise OutOfMemory(
            f"{path.parent} cannot take the quantised model ({error.strerror}): make room there"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _nbytes(stored: StoredTensor, target: str) -> int:
    """What a tensor takes as it is to be stored."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    if target == stored.quantization:
        return stored.nbytes
    numbers, size = GGML_QUANT_SIZES[GGMLQuantizationType[target]]
    return prod(stored.shape) // numbers * size


def _refuse_without_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutOfMemory(
            f"the quantised model needs {needed / 1e6:,.1f} MB on disk, but {folder} has {free / 1e6:,.1f} MB free: "
            "make room there"
        )


def _is_sound(path: Path) -> bool:
    try:
        return path.with_suffix(DIGEST).read_text() == _digest(path)
    except (OSError, UnicodeDecodeError):
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(files: Sequence[Path], quantize: str) -> str:
    """Of the files as they are: what they are called, how long they are, and when they were written."""
    facts = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps([VERSION, quantize, facts]).encode()).hexdigest()[:32]


def _make_room(folder: Path) -> None:
    newest_first = sorted(folder.glob("*.gguf"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest_first[KEPT:]:
        path.unlink(missing_ok=True)
        path.with_suffix(DIGEST).unlink(missing_ok=True)
