"""StarCoder2: LayerNorm, a plain MLP with GELU, biases everywhere, a sliding window (arXiv:2402.19173)."""

from __future__ import annotations

from dataclasses import replace

from engine.config import LayerConfig, ModelConfig
from engine.families.decoder import head_dim, layer_count, read_activation, read_decoder
from engine.families.family import FOLDER_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.rotation import read_rope


def configure(fields: Fields) -> ModelConfig:
    layer = LayerConfig(read_rope(fields, head_dim(fields)), window=fields.integer("sliding_window", None))
    return read_decoder(
        fields,
        "starcoder2",
        layers=(layer,) * layer_count(fields),
        norm="layer",
        # GGUF's key, then config.json's.
        norm_eps=fields.number("layer_norm_eps", fields.number("norm_epsilon", 1e-5)),
        activation=read_activation(fields, fields.text("hidden_act", "gelu_pytorch_tanh")),
        gated_mlp=False,
    )


FAMILY = Family(
    name="starcoder2",
    model_types=("starcoder2",),
    configure=configure,
    folder=Layout(
        replace(FOLDER_NAMES, gate_up=("model.layers.{}.mlp.c_fc",), down="model.layers.{}.mlp.c_proj"),
    ),
    architectures=("starcoder2",),
    gguf=Layout(replace(GGUF_NAMES, gate_up=("blk.{}.ffn_up",))),
)
