"""What makes a family of models: how its settings are read and what its tensors are called."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.config import ModelConfig
from engine.families.fields import Fields

# Buffers that older checkpoints saved although they are computed: they hold nothing the config does not say.
COMPUTED = re.compile(
    r"rotary_emb\.inv_freq$|\.attn\.(masked_)?bias$|^rope_(freqs|factors_long|factors_short)\.weight$"
)


@dataclass(frozen=True, slots=True)
class TensorNames:
    """The name of each part in a file, without its `.weight` and `.bias`; None or () where the family has no such part.

    `{}` stands for the layer's number and, in the name of an expert's part that is stored by itself, a second one
    for the expert's. qkv and gate_up: one name each for the projections, or a single one where the file holds them
    stacked; an ungated MLP has the up projection only.
    """

    embedding: str
    norm: str
    head: str
    qkv: tuple[str, ...]
    output: str
    gate_up: tuple[str, ...]
    down: str
    attention_norm: str | None = None
    mlp_norm: str | None = None
    post_attention_norm: str | None = None
    post_mlp_norm: str | None = None
    query_norm: str | None = None
    key_norm: str | None = None
    positions: str | None = None
    router: str | None = None
    expert_gate_up: tuple[str, ...] = ()
    expert_down: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How one file format stores a family.

    prefix: what some files put before every name and others leave out. norm_offset: added to stored norm weights.
    transposed: matrices are stored [inputs, outputs]. interleaved: rows of the query and key projections are in the
    order of rotary pairs (0, 1), (2, 3)... instead of (0, d/2), (1, d/2 + 1)...
    """

    names: TensorNames
    prefix: str = ""
    norm_offset: float = 0.0
    transposed: bool = False
    interleaved: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """One family of models.

    model_types: its names in config.json. architectures: in GGUF's general.architecture. configure: settings to
    config, raising ModelFormatError for what is missing or damaged and UnsupportedModel for what is not computed
    here. folder, gguf: how each format stores its tensors; gguf is None where the format has no such family.
    """

    name: str
    model_types: tuple[str, ...]
    configure: Callable[[Fields], ModelConfig]
    folder: Layout
    architectures: tuple[str, ...] = ()
    gguf: Layout | None = None
    # A mixture of experts may share its GGUF architecture with the family it is made of.
    mixture: bool = field(default=False)


# The names Llama's first release in transformers gave, which most families kept.
FOLDER_NAMES = TensorNames(
    embedding="model.embed_tokens",
    attention_norm="model.layers.{}.input_layernorm",
    qkv=(
        "model.layers.{}.self_attn.q_proj",
        "model.layers.{}.self_attn.k_proj",
        "model.layers.{}.self_attn.v_proj",
    ),
    output="model.layers.{}.self_attn.o_proj",
    mlp_norm="model.layers.{}.post_attention_layernorm",
    gate_up=("model.layers.{}.mlp.gate_proj", "model.layers.{}.mlp.up_proj"),
    down="model.layers.{}.mlp.down_proj",
    norm="model.norm",
    head="lm_head",
)
# llama.cpp, gguf-py/gguf/constants.py, TENSOR_NAMES.
GGUF_NAMES = TensorNames(
    embedding="token_embd",
    attention_norm="blk.{}.attn_norm",
    qkv=("blk.{}.attn_q", "blk.{}.attn_k", "blk.{}.attn_v"),
    output="blk.{}.attn_output",
    mlp_norm="blk.{}.ffn_norm",
    gate_up=("blk.{}.ffn_gate", "blk.{}.ffn_up"),
    down="blk.{}.ffn_down",
    norm="output_norm",
    head="output",
)
# The same for a mixture of experts; each tensor holds all experts of a layer.
GGUF_EXPERT_NAMES = {
    "router": "blk.{}.ffn_gate_inp",
    "expert_gate_up": ("blk.{}.ffn_gate_exps", "blk.{}.ffn_up_exps"),
    "expert_down": "blk.{}.ffn_down_exps",
}
