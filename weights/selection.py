"""Which files of a repository make up the model, and no others."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Sequence

from weights.errors import DownloadFailed, UnknownModel, UnsuitableModel
from weights.file_names import check_file_name
from weights.hub import HubFile
from weights.reference import HubReference, split_parts

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# An index has about 100 bytes for each tensor; the largest published models have some 100,000.
MAX_INDEX_BYTES = 64 << 20
NEEDED = ("config.json", "tokenizer.json")
WANTED = (
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
)
# Formats that are, or may hold, programs; they are never fetched, only named.
CODE = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.msgpack", "*.h5", "*.onnx")
NAMED_AT_MOST = 12


def choose(reference: HubReference, files: Sequence[HubFile], read: Callable[[HubFile], bytes]) -> tuple[HubFile, ...]:
    """The files to fetch: the .gguf file asked for, else the safetensors model, else the only .gguf there is.

    read: gives the bytes of a small file of the repository; asked only for the index of a sharded model.
    Raises UnknownModel, UnsuitableModel, DownloadFailed, UnsafeName.
    """
    listed = {file.name: file for file in files}
    ggufs = [name for name in listed if name.lower().endswith(".gguf")]
    where = reference.repository
    if reference.file is not None:
        if reference.file not in listed:
            raise UnknownModel(f"{where} has no file {reference.file!r:.120}: {_names(ggufs)}")
        names = _parts(reference.file, listed, where)
    elif WEIGHTS in listed:
        names = [*_beside(listed, where), WEIGHTS]
    elif INDEX in listed:
        names = [*_beside(listed, where), INDEX, *_shards(listed, where, read)]
    else:
        models = sorted({split_parts(name)[0] for name in ggufs})
        if len(models) > 1:
            example = f"hf:{where}:{models[0]}"
            raise UnsuitableModel(
                f"{where} has {len(models)} models, of which one must be named, as {example}: {_names(models)}"
            )
        if not models:
            raise UnsuitableModel(
                f"{where} has neither {WEIGHTS} nor a .gguf file{_code(listed)}: choose another model"
            )
        names = _parts(models[0], listed, where)
    for name in names:
        check_file_name(name, where)
    folded = {name.casefold() for name in names}
    if len(folded) != len(names):
        raise UnsuitableModel(f"{where} has files whose names differ only in capitals: choose another model")
    return tuple(listed[name] for name in names)


def _parts(file: str, listed: dict[str, HubFile], where: str) -> list[str]:
    parts = split_parts(file)
    missing = [part for part in parts if part not in listed]
    if missing:
        raise UnsuitableModel(
            f"{where} lacks {len(missing):,} of the {len(parts):,} parts, the first {missing[0]!r:.120}"
        )
    return list(parts)


def _beside(listed: dict[str, HubFile], where: str) -> list[str]:
    """What goes with the weights: configuration, tokenizer, templates."""
    for name in NEEDED:
        if name not in listed:
            raise UnsuitableModel(f"{where} has no {name}, without which it cannot be run: choose another model")
    wanted = [name for name in listed if any(fnmatch.fnmatchcase(name, pattern) for pattern in WANTED)]
    return [*NEEDED, *sorted(wanted)]


def _shards(listed: dict[str, HubFile], where: str, read: Callable[[HubFile], bytes]) -> list[str]:
    """The files that the index names, each of which must be listed beside it."""
    index = listed[INDEX]
    if index.bytes > MAX_INDEX_BYTES:
        raise UnsuitableModel(f"{INDEX} of {where} has {index.bytes:,} bytes, of at most {MAX_INDEX_BYTES:,}")
    try:
        shards = sorted(set(json.loads(read(index))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DownloadFailed(f"{INDEX} of {where} is damaged: it maps no tensors to files") from error
    for shard in shards:
        if not isinstance(shard, str) or not shard.endswith(".safetensors"):
            raise DownloadFailed(f"{INDEX} of {where} names {shard!r:.120}, which is no .safetensors file")
        check_file_name(shard, f"{INDEX} of {where}")
        if "/" in shard or shard not in listed:
            raise UnsuitableModel(f"{where} lacks {shard!r:.120}, which its {INDEX} names")
    if not shards:
        raise DownloadFailed(f"{INDEX} of {where} is damaged: it names no files")
    return shards


def _names(names: Sequence[str]) -> str:
    if not names:
        return "it has no .gguf file at all"
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return "there are " + ", ".join(f"{name:.80}" for name in sorted(names)[:NAMED_AT_MOST]) + more


def _code(listed: dict[str, HubFile]) -> str:
    found = sorted(name for name in listed if any(fnmatch.fnmatchcase(name.lower(), kind) for kind in CODE))
    return f" (only {found[0]!r:.80}, a format that may hold programs and is never loaded)" if found else ""
