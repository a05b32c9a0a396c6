"""The families of models that are computed exactly, one file each."""

from __future__ import annotations

from engine.errors import UnsupportedModel
from engine.families import (
    gemma2,
    gemma3,
    gpt2,
    granite,
    llama,
    mistral,
    mixtral,
    olmo2,
    olmoe,
    phi3,
    qwen2,
    qwen3,
    qwen3_moe,
    smollm3,
    starcoder2,
)
from engine.families.family import Family

MODULES = (
    *(gpt2, llama, mistral, mixtral, smollm3, qwen2, qwen3, qwen3_moe),
    *(gemma2, gemma3, phi3, olmo2, olmoe, granite, starcoder2),
)
FAMILIES: tuple[Family, ...] = tuple(module.FAMILY for module in MODULES)


def family_of_folder(model_type: str, what: str) -> Family:
    """The family that config.json names by its model_type; raises UnsupportedModel about `what`."""
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = ", ".join(name for family in FAMILIES for name in family.model_types)
    raise UnsupportedModel(what, f"models of the type {model_type!r:.40} are not known; known are {known}")


def family_of_gguf(architecture: str, what: str, *, mixture: bool) -> Family:
    """The family of a GGUF architecture, with or without experts; raises UnsupportedModel about `what`."""
    matching = [family for family in FAMILIES if architecture in family.architectures]
    if not matching:
        known = ", ".join(sorted({name for family in FAMILIES for name in family.architectures}))
        raise UnsupportedModel(what, f"the architecture {architecture!r:.40} is not known; known are {known}")
    return next((family for family in matching if family.mixture == mixture), matching[0])
