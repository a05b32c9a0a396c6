"""The model that the tests of the hub pull: what belongs to it, and what lies beside it in its repository."""

from __future__ import annotations

import random
from pathlib import Path

from weights import parse_reference

NAME = "maker/model"
WHOLE = parse_reference(f"hf:{NAME}")
WEIGHTS = random.Random(0).randbytes(400_000)
SMALL = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}" * 500, "tokenizer_config.json": b"{}"}
FOREIGN = {
    "README.md": b"# Model",
    "pytorch_model.bin": b"pickle",
    "modeling_model.py": b"import os",
    "onnx/model.onnx": b"onnx",
    "training_args.pt": b"pickle",
    "consolidated.safetensors": b"another layout",
    ".gitattributes": b"* text",
}


def left_in(folder: Path) -> set[str]:
    """Names of all files below the folder, but for locks."""
    return {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix != ".lock" and path.is_file()
    }
