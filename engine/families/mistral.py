"""Mistral 7B and what has its shape: Llama with a sliding window (arXiv:2310.06825).

In GGUF it is of the architecture `llama`.
"""

from __future__ import annotations

from engine.config import LayerConfig, ModelConfig
from engine.families.decoder import head_dim, layer_count, read_decoder
from engine.families.family import FOLDER_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.rotation import read_rope


def configure(fields: Fields) -> ModelConfig:
    layer = LayerConfig(read_rope(fields, head_dim(fields)), window=fields.integer("sliding_window", None))
    return read_decoder(fields, "mistral", layers=(layer,) * layer_count(fields))


FAMILY = Family(name="mistral", model_types=("mistral",), configure=configure, folder=Layout(FOLDER_NAMES))
