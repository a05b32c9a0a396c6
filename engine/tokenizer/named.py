"""The encodings that tiktoken ships by name, where their files are on this machine."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from engine.errors import ModelFormatError, ModelNotFound, UnsupportedModel
from engine.tokenizer.added_tokens import AddedToken, end_ids
from engine.tokenizer.byte_bpe_tokenizer import ByteBPETokenizer
from engine.tokenizer.pretokenizer import Pretokenizer
from engine.tokenizer.tokenizer import Tokenizer

_P50K = {"ec7223a39ce59f226a68acc30dc1af2788490e15": "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069"}
_O200K = {
    "fb374d419588a4632f3f557e76b4b70aebbca790": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
}
# The files of each: what tiktoken names it in its cache, the SHA-1 of where it comes from, and SHA-256 of its content.
FILES: Mapping[str, Mapping[str, str]] = {
    "gpt2": {
        "6d1cbeee0f20b3d9449abfede4726ed8212e3aee": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        "6c7ea1a7e38e3a7f062df639a5b80947f075ffe6": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    },
    "r50k_base": {
        "0ea1e91bbb3a60f729a8dc8f777fd2fc07cd8df4": "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
    },
    "p50k_base": _P50K,
    "p50k_edit": _P50K,
    "cl100k_base": {
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
    },
    "o200k_base": _O200K,
    "o200k_harmony": _O200K,
}


def tokenizer_by_name(name: str) -> Tokenizer:
    """One of tiktoken's own encodings, `o200k_base` for one, out of its cache (`TIKTOKEN_CACHE_DIR`).

    Nothing is fetched. Raises UnsupportedModel for an unknown name, ModelNotFound where a file is missing,
    ModelFormatError where one is damaged.
    """
    if name not in FILES:
        raise UnsupportedModel(f"the encoding {name!r:.40}", f"known are {', '.join(FILES)}")
    for file, digest in FILES[name].items():
        path = _cache() / file
        if not path.is_file():
            where = "put it there, or name its folder in TIKTOKEN_CACHE_DIR"
            raise ModelNotFound(f"the encoding {name} needs {path}, which is not on this machine: {where}")
        # tiktoken would delete a damaged file and fetch it anew.
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise ModelFormatError(f"{path} is damaged, so the encoding {name} cannot be had: put the right file there")
    from tiktoken_ext.openai_public import ENCODING_CONSTRUCTORS

    encoding = ENCODING_CONSTRUCTORS[name]()
    special = encoding["special_tokens"]
    ranks = encoding["mergeable_ranks"]
    token_bytes = [b""] * (1 + max(*ranks.values(), *special.values()))
    for content, id in ranks.items():
        token_bytes[id] = content
    tokens = [AddedToken(text, id, special=True) for text, id in special.items()]
    rule = Pretokenizer((), encoding["pat_str"])
    return ByteBPETokenizer(rule, ranks, token_bytes, tokens, str, eos_ids=end_ids(tokens))


def _cache() -> Path:
    """Where tiktoken keeps files; an empty name, which turns its cache off, leaves nothing to be found."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if variable in os.environ:
            return Path(os.environ[variable] or os.devnull)
    return Path(tempfile.gettempdir()) / "data-gym-cache"
