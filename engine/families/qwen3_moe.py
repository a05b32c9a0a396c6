"""Qwen3 with a mixture of experts: Qwen3-30B-A3B and 235B-A22B (arXiv:2505.09388)."""

from __future__ import annotations

from dataclasses import replace

from engine.config import ModelConfig
from engine.errors import ModelFormatError
from engine.families.decoder import read_decoder, read_experts
from engine.families.family import FOLDER_NAMES, GGUF_EXPERT_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.qwen2 import qwen_layers
from engine.families.qwen3 import GGUF_HEAD_NORMS, HEAD_NORMS


def configure(fields: Fields) -> ModelConfig:
    step = fields.integer("decoder_sparse_step", 1)
    if step < 1:
        raise ModelFormatError(f"{fields.source}: decoder_sparse_step is {step}, not 1 or more")
    plain = set(fields.numbers("mlp_only_layers", ()))
    layers = tuple(
        replace(layer, experts=(index + 1) % step == 0 and index not in plain)
        for index, layer in enumerate(qwen_layers(fields))
    )
    # GGUF does not say; llama.cpp normalises, as all published models of the family do.
    normalized = fields.flag("norm_topk_prob", fields.source.endswith(".gguf"))
    experts = read_experts(fields, intermediate_size="moe_intermediate_size", normalized=normalized)
    return read_decoder(fields, "qwen3_moe", layers=layers, experts=experts)


FAMILY = Family(
    name="qwen3_moe",
    model_types=("qwen3_moe",),
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
    architectures=("qwen3moe",),
    gguf=Layout(replace(GGUF_NAMES, **GGUF_HEAD_NORMS, **GGUF_EXPERT_NAMES)),
)
