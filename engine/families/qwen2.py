"""Qwen2 and Qwen2.5: Llama with biases on query, key and value (arXiv:2407.10671)."""

from __future__ import annotations

from engine.config import LayerConfig, ModelConfig
from engine.families.decoder import head_dim, layer_count, read_decoder, sliding_layers
from engine.families.family import FOLDER_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.rotation import read_rope


def configure(fields: Fields) -> ModelConfig:
    return read_decoder(fields, "qwen2", layers=qwen_layers(fields))


def qwen_layers(fields: Fields) -> tuple[LayerConfig, ...]:
    """Layers from `max_window_layers` on see a window, where the settings ask for windows at all."""
    rope, count = read_rope(fields, head_dim(fields)), layer_count(fields)
    window = fields.integer("sliding_window", None) if fields.flag("use_sliding_window", False) else None
    if window is None:
        return (LayerConfig(rope),) * count
    first = fields.integer("max_window_layers", 28)
    sliding = sliding_layers(fields, default=[index >= first for index in range(count)])
    return tuple(LayerConfig(rope, window=window if narrow else None) for narrow in sliding)


FAMILY = Family(
    name="qwen2",
    model_types=("qwen2",),
    configure=configure,
    folder=Layout(FOLDER_NAMES),
    architectures=("qwen2",),
    gguf=Layout(GGUF_NAMES),
)
