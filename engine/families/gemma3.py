"""Gemma 3, text only: five local layers to a global one, each kind with its rotation, and norms over each head of
query and key (arXiv:2503.19786)."""

from __future__ import annotations

from dataclasses import replace

from engine.config import LayerConfig, ModelConfig
from engine.errors import ModelFormatError, UnsupportedModel
from engine.families.decoder import head_dim, layer_count, read_decoder, sliding_layers
from engine.families.family import FOLDER_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.gemma2 import GGUF_NORMS, NORMS, gemma_scales
from engine.families.qwen3 import GGUF_HEAD_NORMS, HEAD_NORMS
from engine.families.rotation import read_rope
from engine.rope import Rope

GLOBAL_THETA = 1_000_000.0
LOCAL_THETA = 10_000.0
LAYERS_OF_27B = 62


def configure(fields: Fields) -> ModelConfig:
    if fields.flag("use_bidirectional_attention", False):
        raise UnsupportedModel(fields.source, "it looks ahead (use_bidirectional_attention), as encoders do")
    pattern = fields.integer("sliding_window_pattern", 6)
    if pattern < 1:
        raise ModelFormatError(f"{fields.source}: sliding_window_pattern is {pattern}, not 1 or more")
    window = fields.integer("sliding_window", 4096)
    whole = LayerConfig(read_rope(fields, head_dim(fields), theta=GLOBAL_THETA, kind="full_attention"))
    narrow = LayerConfig(_local_rope(fields), window=window)
    sliding = sliding_layers(fields, default=[(index + 1) % pattern != 0 for index in range(layer_count(fields))])
    return read_decoder(
        fields,
        "gemma3",
        layers=tuple(narrow if local else whole for local in sliding),
        attention_softcap=fields.number("attn_logit_softcapping", None),
        logit_softcap=fields.number("final_logit_softcapping", None),
        **gemma_scales(fields, LAYERS_OF_27B),
    )


def _local_rope(fields: Fields) -> Rope:
    """Local layers are never scaled; the older style of settings names their base by itself."""
    if (settings := fields.child("rope_parameters")) and settings.has("sliding_attention"):
        return read_rope(fields, head_dim(fields), theta=LOCAL_THETA, kind="sliding_attention")
    return Rope(fields.number("rope_local_base_freq", LOCAL_THETA), head_dim(fields))


FAMILY = Family(
    name="gemma3",
    model_types=("gemma3_text",),
    configure=configure,
    folder=Layout(replace(FOLDER_NAMES, **NORMS, **HEAD_NORMS), norm_offset=1.0),
    architectures=("gemma3",),
    gguf=Layout(replace(GGUF_NAMES, **GGUF_NORMS, **GGUF_HEAD_NORMS)),
)
