"""Makes a model out of a GGUF file: its settings under the names that families know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.checkpoint.checkpoint import Checkpoint
from engine.checkpoint.generation import gguf_generation
from engine.checkpoint.gguf_source import GGUFSource
from engine.config import ModelConfig
from engine.errors import ModelFormatError, UnsupportedModel
from engine.families import family_of_gguf
from engine.families.family import Layout
from engine.families.fields import Fields
from engine.template import ChatTemplate
from engine.tokenizer import tokenizer_from_gguf

# GGUF's keys (llama.cpp, gguf-py/gguf/constants.py, without the architecture before them) and config.json's names.
NAMES: Mapping[str, str] = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.layer_norm_epsilon": "layer_norm_eps",
    "attention.sliding_window": "sliding_window",
    "attention.scale": "attention_multiplier",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "logit_scale": "logits_scaling",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
    "rope.freq_base": "rope_theta",
    "rope.freq_base_swa": "rope_local_base_freq",
    "rope.dimension_count": "rotary_dim",
}


def open_gguf(path: Path) -> Checkpoint:
    """Open a GGUF file, or all parts of a split one given any of them.

    Raises ModelFormatError if it is damaged or its parts do not fit together, UnsupportedModel if its forward pass
    or its tokenizer would not be exact here.
    """
    source = GGUFSource(path)
    metadata = source.metadata
    config, layout = configure_gguf(source, path.name)
    tokenizer = tokenizer_from_gguf(metadata)
    generation = gguf_generation(metadata)
    return Checkpoint(
        name=str(metadata.get("general.name") or path.stem),
        path=path,
        config=config,
        tokenizer=tokenizer,
        template=ChatTemplate.from_gguf(metadata, tokenizer),
        source=source,
        layout=layout,
        recommended=generation.recommended,
        ignored=generation.ignored,
        files=source.files,
    )


def configure_gguf(source: GGUFSource, name: str) -> tuple[ModelConfig, Layout]:
    """The config that a file's metadata describes, and how its tensors are stored."""
    architecture = source.metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise ModelFormatError(f"{name} names no architecture: fetch the model again")
    family = family_of_gguf(architecture, name, mixture=bool(source.metadata.get(f"{architecture}.expert_count")))
    assert family.gguf is not None
    return family.configure(_fields(source, architecture, name)), family.gguf


def _fields(source: GGUFSource, architecture: str, name: str) -> Fields:
    settings = {
        key.removeprefix(f"{architecture}."): value
        for key, value in source.metadata.items()
        if key.startswith(f"{architecture}.")
    }
    values: dict[str, Any] = {new: settings[old] for old, new in NAMES.items() if old in settings}
    values["num_experts"] = values["num_local_experts"] = settings.get("expert_count")
    if embedding := source.tensors.get("token_embd.weight"):
        values["vocab_size"] = embedding.shape[0]
    values["rope_scaling"] = _rope_scaling(source, settings)
    _refuse_split_values(settings, name)
    return Fields(values, name)


def _rope_scaling(source: GGUFSource, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The scaling of rotary positions as config.json would describe it; lists of divisors are tensors in GGUF."""
    scaling = {
        "rope_type": settings.get("rope.scaling.type", "none"),
        "factor": settings.get("rope.scaling.factor"),
        "original_max_position_embeddings": settings.get("rope.scaling.original_context_length"),
        "attention_factor": settings.get("rope.scaling.attn_factor"),
        "beta_fast": settings.get("rope.scaling.yarn_beta_fast"),
        "beta_slow": settings.get("rope.scaling.yarn_beta_slow"),
    }
    if "rope_freqs.weight" in source.tensors:
        return {"rope_type": "divisors", "divisors": _values(source, "rope_freqs.weight")}
    if "rope_factors_long.weight" in source.tensors:
        scaling["rope_type"] = "longrope"
        scaling["long_factor"] = _values(source, "rope_factors_long.weight")
        scaling["short_factor"] = _values(source, "rope_factors_short.weight")
    return scaling


def _values(source: GGUFSource, name: str) -> list[float]:
    if name not in source.tensors:
        raise ModelFormatError(f"{source.files[0].name} has no tensor {name!r}: fetch the model again")
    if source.tensors[name].nbytes > 2**16:
        raise ModelFormatError(f"{source.files[0].name}: tensor {name!r} is too large for frequencies of a head")
    return source.load(name).float().flatten().tolist()


def _refuse_split_values(settings: Mapping[str, Any], name: str) -> None:
    keys, values = settings.get("attention.key_length"), settings.get("attention.value_length")
    if values is not None and keys is not None and values != keys:
        raise UnsupportedModel(name, f"its values have {values!r:.20} numbers a head, its keys {keys!r:.20}")
