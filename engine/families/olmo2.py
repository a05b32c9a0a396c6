"""OLMo 2: norms after the blocks instead of before, and over all heads of query and of key (arXiv:2501.00656)."""

from __future__ import annotations

from dataclasses import replace

from engine.config import ModelConfig
from engine.families.decoder import read_decoder
from engine.families.family import FOLDER_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.qwen3 import GGUF_HEAD_NORMS, HEAD_NORMS


def configure(fields: Fields) -> ModelConfig:
    return read_decoder(fields, "olmo2")


FAMILY = Family(
    name="olmo2",
    model_types=("olmo2",),
    configure=configure,
    folder=Layout(
        replace(
            FOLDER_NAMES,
            **HEAD_NORMS,
            attention_norm=None,
            post_attention_norm="model.layers.{}.post_attention_layernorm",
            mlp_norm=None,
            post_mlp_norm="model.layers.{}.post_feedforward_layernorm",
        )
    ),
    architectures=("olmo2",),
    gguf=Layout(
        replace(
            GGUF_NAMES,
            **GGUF_HEAD_NORMS,
            attention_norm=None,
            post_attention_norm="blk.{}.post_attention_norm",
            mlp_norm=None,
            post_mlp_norm="blk.{}.post_ffw_norm",
        )
    ),
)
