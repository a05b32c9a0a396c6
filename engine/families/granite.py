"""Granite 3: Llama with multipliers on embeddings, attention, residuals and logits."""

from __future__ import annotations

from engine.config import ModelConfig
from engine.errors import ModelFormatError
from engine.families.decoder import read_decoder
from engine.families.family import FOLDER_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields


def configure(fields: Fields) -> ModelConfig:
    divisor = fields.number("logits_scaling", 1.0)
    if divisor <= 0:
        raise ModelFormatError(f"{fields.source}: logits_scaling must be above 0, not {divisor:g}")
    return read_decoder(
        fields,
        "granite",
        embedding_scale=fields.number("embedding_multiplier", 1.0),
        attention_scale=fields.number("attention_multiplier", 1.0),
        residual_scale=fields.number("residual_multiplier", 1.0),
        logit_scale=1.0 / divisor,
    )


FAMILY = Family(
    name="granite",
    model_types=("granite",),
    configure=configure,
    folder=Layout(FOLDER_NAMES),
    architectures=("granite",),
    gguf=Layout(GGUF_NAMES, interleaved=True),
)
