"""Mixtral: Mistral with a mixture of experts in each layer (arXiv:2401.04088).

In GGUF it is of the architecture `llama`, with experts.
"""

from __future__ import annotations

from dataclasses import replace

from engine.config import LayerConfig, ModelConfig
from engine.families.decoder import head_dim, layer_count, read_decoder, read_experts
from engine.families.family import FOLDER_NAMES, GGUF_EXPERT_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.rotation import read_rope


def configure(fields: Fields) -> ModelConfig:
    rope = read_rope(fields, head_dim(fields), theta=1_000_000.0)
    layer = LayerConfig(rope, window=fields.integer("sliding_window", None), experts=True)
    return read_decoder(
        fields,
        "mixtral",
        layers=(layer,) * layer_count(fields),
        experts=read_experts(fields, intermediate_size="intermediate_size", normalized=True),
    )


FAMILY = Family(
    name="mixtral",
    model_types=("mixtral",),
    configure=configure,
    folder=Layout(
        replace(
            FOLDER_NAMES,
            router="model.layers.{}.block_sparse_moe.gate",
            expert_gate_up=(
                "model.layers.{}.block_sparse_moe.experts.{}.w1",
                "model.layers.{}.block_sparse_moe.experts.{}.w3",
            ),
            expert_down="model.layers.{}.block_sparse_moe.experts.{}.w2",
        )
    ),
    architectures=("llama",),
    gguf=Layout(replace(GGUF_NAMES, **GGUF_EXPERT_NAMES), interleaved=True),
    mixture=True,
)
