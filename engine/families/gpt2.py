"""GPT-2: learned positions, LayerNorm, a plain MLP with GELU, biases everywhere; the line of GPTs began with it."""

from __future__ import annotations

from engine.config import LayerConfig, ModelConfig
from engine.errors import UnsupportedModel
from engine.families.decoder import head_dim, layer_count, read_activation
from engine.families.family import Family, Layout, TensorNames
from engine.families.fields import Fields

# GPT-2's settings have names of their own.
NAMES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings",
    "n_inner": "intermediate_size",
    "layer_norm_epsilon": "layer_norm_eps",
    "activation_function": "hidden_act",
}


def configure(fields: Fields) -> ModelConfig:
    fields = fields.renamed(NAMES)
    if fields.flag("scale_attn_by_inverse_layer_idx", False) or not fields.flag("scale_attn_weights", True):
        raise UnsupportedModel(fields.source, "it scales attention otherwise than GPT-2 does")
    if fields.flag("add_cross_attention", False):
        raise UnsupportedModel(fields.source, "it is a decoder for another model's encoder (add_cross_attention)")
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    return ModelConfig(
        family="gpt2",
        layers=(LayerConfig(rope=None),) * layer_count(fields),
        hidden_size=hidden,
        intermediate_size=fields.integer("intermediate_size", 4 * hidden),
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=head_dim(fields),
        vocab_size=fields.integer("vocab_size"),
        context_length=fields.integer("max_position_embeddings"),
        norm="layer",
        norm_eps=fields.number("layer_norm_eps", 1e-5),
        attention_scale=head_dim(fields) ** -0.5,
        activation=read_activation(fields, fields.text("hidden_act", "gelu_new")),
        gated_mlp=False,
        learned_positions=True,
        tied_head=fields.flag("tie_word_embeddings", None),
    )


FAMILY = Family(
    name="gpt2",
    model_types=("gpt2",),
    configure=configure,
    folder=Layout(
        TensorNames(
            embedding="wte",
            positions="wpe",
            attention_norm="h.{}.ln_1",
            qkv=("h.{}.attn.c_attn",),
            output="h.{}.attn.c_proj",
            mlp_norm="h.{}.ln_2",
            gate_up=("h.{}.mlp.c_fc",),
            down="h.{}.mlp.c_proj",
            norm="ln_f",
            head="lm_head",
        ),
        prefix="transformer.",
        transposed=True,
    ),
    architectures=("gpt2",),
    gguf=Layout(
        TensorNames(
            embedding="token_embd",
            positions="position_embd",
            attention_norm="blk.{}.attn_norm",
            qkv=("blk.{}.attn_qkv",),
            output="blk.{}.attn_output",
            mlp_norm="blk.{}.ffn_norm",
            gate_up=("blk.{}.ffn_up",),
            down="blk.{}.ffn_down",
            norm="output_norm",
            head="output",
        )
    ),
)
