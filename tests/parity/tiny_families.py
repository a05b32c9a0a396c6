"""A tiny random model of every family, made with transformers, which is the reference for what it computes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

VOCABULARY = 192
CONTEXT = 256
COMMON: Mapping[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
SCALINGS: Mapping[str, Mapping[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
}


def _longrope(dim: int, original: int) -> dict[str, Any]:
    return {
        "rope_type": "longrope",
        "rope_theta": 10_000.0,
        "short_factor": [1.0 + 0.05 * index for index in range(dim // 2)],
        "long_factor": [2.0 + 0.5 * index for index in range(dim // 2)],
        "original_max_position_embeddings": original,
        "partial_rotary_factor": dim / 16,
    }


EMBEDDINGS = ("embed_tokens.weight", "wte.weight")

# A variant's name to the transformers model type and what its config sets beyond COMMON.
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "gpt2": (
        "gpt2",
        {"n_embd": 64, "n_layer": 4, "n_head": 4, "n_positions": CONTEXT, "tie_word_embeddings": True},
    ),
    "llama": ("llama", {"rope_theta": 10_000.0}),
    "llama-tied": ("llama", {"tie_word_embeddings": True, "head_dim": 24, "attention_bias": True, "mlp_bias": True}),
    "llama-linear": ("llama", {"rope_scaling": {**SCALINGS["linear"], "rope_theta": 10_000.0}}),
    "llama-llama3": ("llama", {"rope_scaling": {**SCALINGS["llama3"], "rope_theta": 500_000.0}}),
    "llama-yarn": ("llama", {"rope_scaling": {**SCALINGS["yarn"], "rope_theta": 10_000.0}}),
    "mistral": ("mistral", {"sliding_window": 24}),
    "mixtral": ("mixtral", {"num_local_experts": 6, "num_experts_per_tok": 2, "sliding_window": 50}),
    "smollm3": ("smollm3", {"tie_word_embeddings": True}),
    "qwen2": ("qwen2", {}),
    "qwen2-window": ("qwen2", {"use_sliding_window": True, "sliding_window": 20, "max_window_layers": 2}),
    "qwen3": ("qwen3", {"head_dim": 32}),
    "qwen3_moe": (
        "qwen3_moe",
        {
            "head_dim": 16,
            "num_experts": 8,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 32,
            "norm_topk_prob": True,
            "mlp_only_layers": [1],
        },
    ),
    "gemma2": (
        "gemma2",
        {"head_dim": 32, "sliding_window": 24, "query_pre_attn_scalar": 48, "tie_word_embeddings": True},
    ),
    "gemma3": (
        "gemma3_text",
        {
            "head_dim": 32,
            "sliding_window": 24,
            "query_pre_attn_scalar": 48,
            "tie_word_embeddings": True,
            "num_hidden_layers": 7,
            "rope_scaling": SCALINGS["linear"],
        },
    ),
    "phi3": ("phi3", {"sliding_window": 40}),
    "phi3-longrope": (
        "phi3",
        {"original_max_position_embeddings": 64, "rope_scaling": _longrope(12, 64), "num_hidden_layers": 2},
    ),
    "olmo2": ("olmo2", {}),
    "olmoe": ("olmoe", {"num_experts": 8, "num_experts_per_tok": 3, "num_key_value_heads": 4}),
    "starcoder2": ("starcoder2", {"sliding_window": 24, "tie_word_embeddings": True}),
    "granite": (
        "granite",
        {
            "embedding_multiplier": 6.0,
            "logits_scaling": 4.0,
            "residual_multiplier": 0.5,
            "attention_multiplier": 0.1,
        },
    ),
}


def make(variant: str, **changes: Any) -> PreTrainedModel:
    """The reference, float32 with eager attention; the same variant and changes, the same weights."""
    model_type, differences = VARIANTS[variant]
    config = transformers.AutoConfig.for_model(model_type, **{**COMMON, **differences, **changes})
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
    embedding = 0.1 if "gemma" in model_type else 0.8  # Gemma multiplies it by 8, the root of the width
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Wide enough that the model prefers some tokens clearly, and nothing is left at its neutral start.
            centre = parameter.mean() if parameter.dim() == 1 and not name.endswith("bias") else 0.0
            spread = 0.1 if parameter.dim() == 1 else embedding if name.endswith(EMBEDDINGS) else 0.15
            parameter.copy_(centre + spread * torch.randn_like(parameter))
    return model.eval()


def save(model: PreTrainedModel, folder: Path, *, max_shard_size: str = "5GB") -> Path:
    """Write a Hugging Face folder, without a tokenizer."""
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    return folder


@torch.inference_mode()
def reference_logits(model: PreTrainedModel, tokens: list[int]) -> torch.Tensor:
    """float32 [T, vocab], every token computed afresh."""
    return model(torch.tensor([tokens]), use_cache=False).logits[0].float()
