"""Qwen3: Llama with a norm over each head of query and key (arXiv:2505.09388)."""

from __future__ import annotations

from dataclasses import replace

from engine.config import ModelConfig
from engine.families.decoder import read_decoder
from engine.families.family import FOLDER_NAMES, GGUF_NAMES, Family, Layout
from engine.families.fields import Fields
from engine.families.qwen2 import qwen_layers


def configure(fields: Fields) -> ModelConfig:
    return read_decoder(fields, "qwen3", layers=qwen_layers(fields))


HEAD_NORMS = {
    "query_norm": "model.layers.{}.self_attn.q_norm",
    "key_norm": "model.layers.{}.self_attn.k_norm",
}
GGUF_HEAD_NORMS = {"query_norm": "blk.{}.attn_q_norm", "key_norm": "blk.{}.attn_k_norm"}

FAMILY = Family(
    name="qwen3",
    model_types=("qwen3",),
    configure=configure,
    folder=Layout(replace(FOLDER_NAMES, **HEAD_NORMS)),
    architectures=("qwen3",),
    gguf=Layout(replace(GGUF_NAMES, **GGUF_HEAD_NORMS)),
)
