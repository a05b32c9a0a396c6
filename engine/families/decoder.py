"""What the settings of nearly all families have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.config import MAX_LAYERS, MAX_SIZE, Activation, ExpertConfig, LayerConfig, ModelConfig
from engine.errors import ModelFormatError, UnsupportedModel
from engine.families.fields import Fields
from engine.families.rotation import read_rope

# Names of activations in config.json (transformers, activations.py).
ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}


def read_decoder(fields: Fields, family: str, **differences: Any) -> ModelConfig:
    """A config with the settings that Llama-like families share; `differences` are the fields a family sets itself.

    Raises ModelFormatError for what is missing or damaged, UnsupportedModel for an activation that is not known.
    """
    heads = fields.integer("num_attention_heads")
    dim = head_dim(fields)
    shared = {
        "family": family,
        "hidden_size": fields.integer("hidden_size"),
        "num_heads": heads,
        "num_kv_heads": fields.integer("num_key_value_heads", heads),
        "head_dim": dim,
        "vocab_size": fields.integer("vocab_size"),
        "context_length": fields.integer("max_position_embeddings"),
        "attention_scale": dim**-0.5,
        "tied_head": fields.flag("tie_word_embeddings", None),
    }
    if "intermediate_size" not in differences:
        shared["intermediate_size"] = fields.integer("intermediate_size")
    if "norm_eps" not in differences:
        shared["norm_eps"] = fields.number("rms_norm_eps")
    if "activation" not in differences:
        shared["activation"] = read_activation(fields, fields.text("hidden_act", "silu"))
    if "layers" not in differences:
        shared["layers"] = (LayerConfig(read_rope(fields, dim)),) * layer_count(fields)
    return ModelConfig(**(shared | differences))


def head_dim(fields: Fields) -> int:
    """Numbers of a head; from the width where it is not said."""
    heads, hidden = fields.integer("num_attention_heads"), fields.integer("hidden_size")
    if not 1 <= heads <= MAX_SIZE:
        raise ModelFormatError(f"{fields.source}: num_attention_heads is {heads:,}, which is not from 1 on")
    if fields.has("head_dim"):
        dim = fields.integer("head_dim")
        if not 1 <= dim <= MAX_SIZE:
            raise ModelFormatError(f"{fields.source}: head_dim is {dim:,}, which is not from 1 to {MAX_SIZE:,}")
        return dim
    if hidden < heads or hidden % heads:
        raise ModelFormatError(f"{fields.source}: {heads:,} heads do not divide a width of {hidden:,}")
    return hidden // heads


def layer_count(fields: Fields) -> int:
    count = fields.integer("num_hidden_layers")
    if not 1 <= count <= MAX_LAYERS:
        raise ModelFormatError(
            f"{fields.source}: num_hidden_layers is {count:,}, which is not from 1 to {MAX_LAYERS:,}"
        )
    return count


def sliding_layers(fields: Fields, default: Sequence[bool]) -> tuple[bool, ...]:
    """Which layers see only a window of tokens; `default` holds where the settings do not list the layers' types."""
    kinds = fields.texts("layer_types", ())
    if not kinds:
        return tuple(default)
    if len(kinds) != len(default) or not set(kinds) <= {"sliding_attention", "full_attention"}:
        raise UnsupportedModel(
            fields.source,
            f"its layer_types are {len(kinds)} for {len(default)} layers, of which sliding_attention and "
            "full_attention are known",
        )
    return tuple(kind == "sliding_attention" for kind in kinds)


def read_experts(fields: Fields, *, intermediate_size: str, normalized: bool) -> ExpertConfig:
    """A mixture of experts; intermediate_size names the setting, which families call differently."""
    count = fields.integer("num_local_experts", None)  # newer files call it so in every family
    return ExpertConfig(
        count=fields.integer("num_experts") if count is None else count,
        per_token=fields.integer("num_experts_per_tok"),
        intermediate_size=fields.integer(intermediate_size),
        normalized=normalized,
    )


def read_activation(fields: Fields, name: str) -> Activation:
    if name not in ACTIVATIONS:
        raise UnsupportedModel(fields.source, f"its activation {name!r:.40} is not known; {', '.join(ACTIVATIONS)} are")
    return ACTIVATIONS[name]
