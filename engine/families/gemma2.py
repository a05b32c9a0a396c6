"""Gemma 2: norms around both blocks, soft-capped scores and logits, every other layer local (arXiv:2408.00118)."""

from __future__ import annotations

from dataclasses import replace

from engine.config import LayerConfig, ModelConfig
from engine.families.decoder import head_dim, layer_count, read_activation, read_decoder, sliding_layers
from engine.families.family import FOLDER_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.rotation import read_rope

# The 27B scales attention by its width per head, the others by head_dim. GGUF does not say which; llama.cpp tells
# the 27B by its number of layers (llama-model.cpp, LLM_ARCH_GEMMA2).
LAYERS_OF_27B = 46


def configure(fields: Fields) -> ModelConfig:
    rope, count = read_rope(fields, head_dim(fields)), layer_count(fields)
    window = fields.integer("sliding_window", 4096)
    sliding = sliding_layers(fields, default=[index % 2 == 0 for index in range(count)])
    return read_decoder(
        fields,
        "gemma2",
        layers=tuple(LayerConfig(rope, window=window if narrow else None) for narrow in sliding),
        attention_softcap=fields.number("attn_logit_softcapping", None),
        logit_softcap=fields.number("final_logit_softcapping", None),
        **gemma_scales(fields, LAYERS_OF_27B),
    )


def gemma_scales(fields: Fields, layers_of_27b: int) -> dict[str, object]:
    """What Gemma 2 and 3 have in common and others have not."""
    by_width = layer_count(fields) == layers_of_27b and fields.source.endswith(".gguf")
    width = fields.integer("hidden_size") / fields.integer("num_attention_heads") if by_width else head_dim(fields)
    scaled_by = fields.number("query_pre_attn_scalar", float(width))
    name = fields.text("hidden_activation", fields.text("hidden_act", "gelu_pytorch_tanh"))
    return {
        "attention_scale": abs(scaled_by) ** -0.5 if scaled_by else 0.0,
        "embedding_scale": abs(fields.integer("hidden_size")) ** 0.5,
        # The first configs say `gelu` where the tanh approximation was trained (transformers issue 29402).
        "activation": read_activation(fields, "gelu_pytorch_tanh" if name == "gelu" else name),
        "tied_head": fields.flag("tie_word_embeddings", True),
    }


NORMS = {
    "post_attention_norm": "model.layers.{}.post_attention_layernorm",
    "mlp_norm": "model.layers.{}.pre_feedforward_layernorm",
    "post_mlp_norm": "model.layers.{}.post_feedforward_layernorm",
}
GGUF_NORMS = {"post_attention_norm": "blk.{}.post_attention_norm", "post_mlp_norm": "blk.{}.post_ffw_norm"}

FAMILY = Family(
    name="gemma2",
    model_types=("gemma2",),
    configure=configure,
    # The norms multiply by 1 + weight; GGUF stores the sum.
    folder=Layout(replace(FOLDER_NAMES, **NORMS), norm_offset=1.0),
    architectures=("gemma2",),
    gguf=Layout(replace(GGUF_NAMES, **GGUF_NORMS)),
)
