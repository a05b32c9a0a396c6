"""Phi-3 and Phi-4-mini: fused projections, part of each head rotated, LongRoPE (arXiv:2404.14219)."""

from __future__ import annotations

from dataclasses import replace

from engine.config import LayerConfig, ModelConfig
from engine.families.decoder import head_dim, layer_count, read_decoder
from engine.families.family import FOLDER_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.rotation import read_rope


def configure(fields: Fields) -> ModelConfig:
    layer = LayerConfig(read_rope(fields, head_dim(fields)), window=fields.integer("sliding_window", None))
    return read_decoder(fields, "phi3", layers=(layer,) * layer_count(fields))


FAMILY = Family(
    name="phi3",
    model_types=("phi3",),
    configure=configure,
    folder=Layout(
        replace(
            FOLDER_NAMES,
            qkv=("model.layers.{}.self_attn.qkv_proj",),
            gate_up=("model.layers.{}.mlp.gate_up_proj",),
        )
    ),
    architectures=("phi3",),
    gguf=Layout(replace(GGUF_NAMES, qkv=("blk.{}.attn_qkv",), gate_up=("blk.{}.ffn_up",))),
)
