"""OLMoE: a mixture of experts with norms over all heads of query and of key (arXiv:2409.02060)."""

from __future__ import annotations

from dataclasses import replace

from engine.config import LayerConfig, ModelConfig
from engine.errors import UnsupportedModel
from engine.families.decoder import head_dim, layer_count, read_decoder, read_experts
from engine.families.family import FOLDER_NAMES, GGUF_EXPERT_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.qwen3 import GGUF_HEAD_NORMS, HEAD_NORMS
from engine.families.rotation import read_rope


def configure(fields: Fields) -> ModelConfig:
    if fields.has("clip_qkv"):
        raise UnsupportedModel(fields.source, "its queries, keys and values are clipped (clip_qkv)")
    layer = LayerConfig(read_rope(fields, head_dim(fields)), experts=True)
    return read_decoder(
        fields,
        "olmoe",
        layers=(layer,) * layer_count(fields),
        norm_eps=fields.number("rms_norm_eps", 1e-5),
        experts=read_experts(
            fields,
            intermediate_size="intermediate_size",
            normalized=fields.flag("norm_topk_prob", False),
        ),
    )


FAMILY = Family(
    name="olmoe",
    model_types=("olmoe",),
    configure=configure,
    folder=Layout(
        replace(
            FOLDER_NAMES,
            **HEAD_NORMS,
            router="model.layers.{}.mlp.gate",
            expert_gate_up=(
                "model.layers.{}.mlp.experts.{}.gate_proj",
                "model.layers.{}.mlp.experts.{}.up_proj",
            ),
            expert_down="model.layers.{}.mlp.experts.{}.down_proj",
        )
    ),
    architectures=("olmoe",),
    gguf=Layout(replace(GGUF_NAMES, **GGUF_HEAD_NORMS, **GGUF_EXPERT_NAMES)),
)
