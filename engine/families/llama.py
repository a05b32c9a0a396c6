"""Llama 1 to 3.3 and what has its shape, SmolLM2 among them."""

from __future__ import annotations

from engine.config import ModelConfig
from engine.families.decoder import read_decoder
from engine.families.family import FOLDER_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields


def configure(fields: Fields) -> ModelConfig:
    return read_decoder(fields, "llama")


FAMILY = Family(
    name="llama",
    model_types=("llama",),
    configure=configure,
    folder=Layout(FOLDER_NAMES),
    architectures=("llama",),
    gguf=Layout(GGUF_NAMES, interleaved=True),
)
