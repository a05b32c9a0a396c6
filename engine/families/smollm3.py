"""SmolLM3: Llama with some layers that have no rotary positions (arXiv:2501.18795)."""

from __future__ import annotations

from engine.config import LayerConfig, ModelConfig
from engine.errors import ModelFormatError, UnsupportedModel
from engine.families.decoder import head_dim, layer_count, read_decoder
from engine.families.family import FOLDER_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.rotation import read_rope

THETA = 2_000_000.0
# Every fourth layer is without, where the settings do not say; llama.cpp knows no other pattern.
INTERVAL = 4


def configure(fields: Fields) -> ModelConfig:
    if fields.flag("use_sliding_window", False):
        raise UnsupportedModel(fields.source, "SmolLM3 with a sliding window was never published")
    rope = read_rope(fields, head_dim(fields), theta=THETA)
    layers = tuple(LayerConfig(rope if rotated else None) for rotated in _rotated_layers(fields))
    return read_decoder(fields, "smollm3", layers=layers)


def _rotated_layers(fields: Fields) -> tuple[bool, ...]:
    count = layer_count(fields)
    # Named for the opposite of what it holds: 1 is a layer with rotary positions.
    rotated = fields.numbers("no_rope_layers", None)
    if rotated is None:
        interval = fields.integer("no_rope_layer_interval", INTERVAL)
        if interval < 1:
            raise ModelFormatError(f"{fields.source}: no_rope_layer_interval is {interval}, not 1 or more")
        return tuple((index + 1) % interval != 0 for index in range(count))
    if len(rotated) < count:
        raise ModelFormatError(f"{fields.source}: no_rope_layers names {len(rotated)} layers of {count}")
    return tuple(value != 0 for value in rotated[:count])


FAMILY = Family(
    name="smollm3",
    model_types=("smollm3",),
    configure=configure,
    folder=Layout(FOLDER_NAMES),
    architectures=("smollm3",),
    gguf=Layout(GGUF_NAMES, interleaved=True),
)
